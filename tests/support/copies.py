"""Copies of the project, whose code a test may change while a service runs from there."""

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from .api import Answer
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
    """The issuer of new access tokens. A worker that has just started may answer 503 until it has a connection."""
    answer = server.api.refresh(token)
    for _ in range(50):
        if answer.status != 503:
            break
        time.sleep(0.1)
        answer = server.api.refresh(token)
    return str(claims(answer.ok()["accessToken"])["iss"])


@contextmanager
def refreshing(server: Server, token: str, clients: int = 2) -> Iterator[list[Answer]]:
    """Clients that refresh again and again; each of their requests must be answered."""
    stop, answers = threading.Event(), list[Answer]()

    def refresh() -> None:
        while not stop.is_set():
            answers.append(server.api.refresh(token))
            time.sleep(0.02)

    with ThreadPoolExecutor(clients) as pool:
        running: list[Future[None]] = [pool.submit(refresh) for _ in range(clients)]
        try:
            yield answers
        finally:
            stop.set()
    for client in running:
        client.result()
    assert {answer.status for answer in answers} <= {200, 503}
