"""Copies of the project, whose code a test may change while a service runs from there."""

import shutil
import time
from collections.abc import Callable
from pathlib import Path

from .servers import PROJECT, Server
from .world import claims


def copied(home: Path) -> Path:
    """The folder, with what the service runs on copied into it."""
    for name in ("app.py", "gunicorn.conf.py"):
        shutil.copy(PROJECT / name, home)
    for name in ("auth", "sql"):
        shutil.copytree(PROJECT / name, home / name, ignore=shutil.ignore_patterns("__pycache__"))
    return home


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def wait_until(condition: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def issuer(server: Server, token: str) -> str:
    """The issuer of new access tokens. A worker that has just started may answer 503 until its database is connected."""
    answer = server.api.refresh(token)
    for _ in range(50):
        if answer.status != 503:
            break
        time.sleep(0.1)
        answer = server.api.refresh(token)
    return str(claims(answer.ok()["accessToken"])["iss"])
