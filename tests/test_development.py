"""`make run`: the service with a database of its own, for somebody who just cloned the project."""

import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from .support.api import Api, send_to_server
from .support.servers import BIN, PROJECT, free_port

pytestmark = pytest.mark.slow


class Clone:
    """A copy of the project, as a fresh clone would be."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.port = free_port()
        self.temporary = Path(tempfile.mkdtemp(prefix="auth-tmp-"))
        self.temporary.chmod(0o755)
        for name in ("app.py", "gunicorn.conf.py"):
            shutil.copy(PROJECT / name, home)
        for name in ("auth", "dev", "sql"):
            shutil.copytree(PROJECT / name, home / name, ignore=shutil.ignore_patterns("__pycache__"))

    def run(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "dev.run"], cwd=self.home, stdout=subprocess.PIPE, text=True,
            env={"PATH": os.environ["PATH"], "PORT": str(self.port), "HOME": str(self.home), "WEB_CONCURRENCY": "1",
                 "TMPDIR": str(self.temporary)},
        )  # fmt: skip

    def printed(self, process: subprocess.Popen[str]) -> dict[str, str]:
        """The variables that the service prints for pasting."""
        assert process.stdout is not None
        found: dict[str, str] = {}
        while "DEMO_REFRESH_TOKEN" not in found:
            line = process.stdout.readline()
            assert line, "the service ended early"
            if match := re.fullmatch(r"export (\w+)=(\S+)\n", line):
                found[match[1]] = match[2]
        return found

    def api(self) -> Api:
        api = Api(send_to_server(self.port))
        for _ in range(200):
            try:
                api.jwks()
            except OSError:
                time.sleep(0.05)
            else:
                return api
        raise AssertionError("the service did not answer")

    def postgres(self) -> list[str]:
        """The command lines of the servers that run on this clone's data."""
        return [
            line
            for line in subprocess.check_output(["ps", "axww", "-o", "args"], text=True).splitlines()
            if "postgres" in line and str(self.home) in line
        ]


@pytest.fixture
def clone() -> Iterator[Clone]:
    home = Path(tempfile.mkdtemp(prefix="auth-clone-"))
    home.chmod(0o755)
    clone = Clone(home)
    yield clone
    shutil.rmtree(home)
    shutil.rmtree(clone.temporary)


def stop(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGINT)
    process.wait(30)
    assert process.stdout is not None
    process.stdout.close()


def kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait(30)
    assert process.stdout is not None
    process.stdout.close()


def test_it_runs_stops_and_survives_a_kill(clone: Clone) -> None:
    process = clone.run()
    first = clone.printed(process)
    api = clone.api()
    user = api.login("user@dev", first["USER_PASSWORD"], "app").ok()
    assert api.login("admin@dev", first["ADMIN_PASSWORD"], "web").ok()["refreshToken"] is None
    service = api.refresh(first["DEMO_REFRESH_TOKEN"]).ok()["accessToken"]
    assert api.extend(service, user["accessToken"], "files:read").status == 200
    assert b'auth_requests_total{rpc="passwordLogin",status="200"} 2.0' in api.call("GET", "/metrics").body
    for name in ("signing-key.pem", "demo.json"):
        assert stat.S_IMODE((clone.home / ".data" / name).stat().st_mode) == 0o600

    second = clone.run()  # while the first one runs
    assert second.wait(30) != 0
    assert second.stdout is not None
    second.stdout.close()
    assert api.refresh(user["refreshToken"]).status == 200

    kill(process)
    assert clone.postgres()
    process = clone.run()
    assert clone.printed(process) == first
    assert clone.api().refresh(user["refreshToken"]).status == 200
    stop(process)
    assert not clone.postgres()
    assert not (clone.home / ".gunicorn").exists()


def test_the_database_may_be_killed_too(clone: Clone) -> None:
    process = clone.run()
    first = clone.printed(process)
    pid = int(next((clone.home / ".data").rglob("postmaster.pid")).read_text().split()[0])
    os.kill(pid, signal.SIGKILL)
    kill(process)
    process = clone.run()
    assert clone.printed(process) == first
    assert clone.api().login("user@dev", first["USER_PASSWORD"], "app").status == 200
    process.send_signal(signal.SIGHUP)  # the terminal was closed
    process.wait(30)
    assert process.stdout is not None
    process.stdout.close()
    assert not clone.postgres()


@pytest.mark.parametrize("name", ['it\'s a $HOME, "quoted"', "é" * 60])
def test_a_path_may_be_odd(name: str) -> None:
    parent = Path(tempfile.mkdtemp(prefix="auth-odd-"))
    parent.chmod(0o755)
    (parent / name).mkdir()
    clone = Clone(parent / name)
    process = clone.run()
    password = clone.printed(process)["USER_PASSWORD"]
    assert clone.api().login("user@dev", password, "app").status == 200
    stop(process)
    shutil.rmtree(parent)
    assert not list(clone.temporary.glob("auth-postgres-*"))
    shutil.rmtree(clone.temporary)


def test_commands_use_the_embedded_database_running_or_not(clone: Clone) -> None:
    def flask(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [BIN / "flask", *arguments], cwd=clone.home, env={"PATH": os.environ["PATH"]}, capture_output=True,
            text=True, timeout=60, check=False,
        )  # fmt: skip

    assert flask("users", "list").stderr.startswith("Error: DATABASE_URL is not set")
    process = clone.run()
    clone.printed(process)
    clone.api()
    assert "user@dev" in flask("users", "list").stdout
    assert clone.postgres()
    stop(process)
    with ThreadPoolExecutor(3) as pool:
        for listed in pool.map(lambda _: flask("users", "list"), range(3)):
            assert "user@dev" in listed.stdout, listed.stderr
    assert not clone.postgres()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's folders are closed to the account PostgreSQL runs as")
def test_a_closed_home_stays_closed(clone: Clone) -> None:
    clone.home.chmod(0o700)
    process = clone.run()
    elsewhere: Path | None = None
    try:
        password = clone.printed(process)["USER_PASSWORD"]
        assert clone.api().login("user@dev", password, "app").status == 200
        elsewhere = (clone.home / ".data" / "elsewhere").resolve()
        assert stat.S_IMODE(clone.home.stat().st_mode) == 0o700
        assert elsewhere.stat().st_uid == 0
        assert stat.S_IMODE((elsewhere / "database" / "postgres").stat().st_mode) == 0o700
    finally:
        stop(process)
        if elsewhere:
            shutil.rmtree(elsewhere)
