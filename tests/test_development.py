"""`make run` and `make demo`: the service with a database of its own, in a fresh clone of the project."""

import json
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
from contextlib import contextmanager
from pathlib import Path

import psutil
import psycopg
import pytest

from .support.api import Api, send_to_server
from .support.second_factor import add_factor, challenge_of
from .support.servers import BIN, PROJECT, free_port
from .support.world import Stored

ONLY_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="PostgreSQL runs as another account for root alone")
BCRYPT = "$2b$12$VvLs3C.hk6vdmN7DgJtw3u6HWQQdQ1CLjKRbVFrOYIq/a1xTMDw/O"
pytestmark = pytest.mark.slow
TRANSACTIONS = "SELECT pid FROM pg_stat_activity WHERE state = 'idle in transaction'"


class Clone:
    """A copy of the project, as a fresh clone would be."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.port = free_port()
        self.output = ""  # what `printed` has read
        home.mkdir()
        for name in ("app.py", "gunicorn.conf.py"):
            shutil.copy(PROJECT / name, home)
        for name in ("auth", "dev", "sql"):
            shutil.copytree(PROJECT / name, home / name, ignore=shutil.ignore_patterns("__pycache__"))

    def run(self, module: str = "dev.run", **variables: str) -> subprocess.Popen[str]:
        environment = {"PATH": os.environ["PATH"], "PORT": str(self.port), "HOME": str(self.home), **variables}
        return subprocess.Popen(
            [sys.executable, "-m", module], cwd=self.home, stdout=subprocess.PIPE, text=True,
            env={"WEB_CONCURRENCY": "1", **environment},
        )  # fmt: skip

    def flask(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [BIN / "flask", *arguments], cwd=self.home, env={"PATH": os.environ["PATH"]}, capture_output=True,
            text=True, timeout=60, check=False,
        )  # fmt: skip

    def printed(self, process: subprocess.Popen[str]) -> dict[str, str]:
        """The variables that the service prints for pasting."""
        assert process.stdout is not None
        found: dict[str, str] = {}
        while "DEMO_REFRESH_TOKEN" not in found:
            line = process.stdout.readline()
            assert line, "the service ended early"
            self.output += line
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

    def data(self) -> Path:
        """The folder of the database; for root, `.data` has a link to it."""
        return (self.home / ".data" / "postgres").resolve()

    def sockets(self) -> Path:
        """The folder of the running server's socket."""
        return Path((self.data() / "postmaster.pid").read_text().splitlines()[4])

    def postgres(self) -> list[psutil.Process]:
        """The processes that run in this clone's data."""
        return [process for process in psutil.process_iter(["cwd"]) if process.info["cwd"] == str(self.data())]


@contextmanager
def cloned(name: str) -> Iterator[Clone]:
    """A clone in a new folder of that name. Only its owner may enter the folder above it."""
    parent = Path(tempfile.mkdtemp(prefix="auth-clone-"))
    clone = Clone(parent / name)
    yield clone
    shutil.rmtree(clone.data().parent)
    shutil.rmtree(parent)


@pytest.fixture
def clone() -> Iterator[Clone]:
    with cloned("clone") as clone:
        yield clone


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
    owner = add_factor(api, Stored("user@dev", user["refreshToken"], user["accessToken"]))
    for name in ("signing-key.pem", "second-factor-key", "demo.json"):
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
    api = clone.api()
    assert api.refresh(user["refreshToken"]).status == 200
    challenge = challenge_of(api, owner.id, "app", first["USER_PASSWORD"])
    assert api.answer_challenge(challenge, owner.app.code()).status == 200
    process.send_signal(signal.SIGINT)
    assert (clone.home / ".data" / "second-factor-key").read_text() not in clone.output + process.communicate()[0]
    assert not clone.postgres()
    assert not (clone.home / ".gunicorn").exists()


def test_the_demo_is_the_service_and_the_portal(clone: Clone) -> None:
    shutil.copytree(PROJECT / "examples", clone.home / "examples")
    for _ in range(2):  # a fresh database, and one that knows the portal
        port = free_port()
        process = clone.run("examples.portal", PORTAL_PORT=str(port))
        assert process.stdout is not None
        printed = ""
        while "Ctrl-C" not in printed:
            printed += process.stdout.readline()
        portal = Api(send_to_server(port))
        assert f"http://localhost:{clone.port}" in portal.call("GET", "/").body.decode()
        password = printed.split("user@dev")[1].split()[0]
        token = clone.api().login("user@dev", password, "portal").ok()["accessToken"]
        assert portal.call("POST", "/jobs", token).ok()["state"] == "running"
        stop(process)
        assert not clone.postgres()
        with pytest.raises(OSError, match="refused"):
            portal.call("GET", "/")


def test_the_database_may_be_killed_too(clone: Clone) -> None:
    process = clone.run()
    first = clone.printed(process)
    pid = int((clone.data() / "postmaster.pid").read_text().split()[0])
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


def test_a_path_may_be_odd() -> None:
    with cloned('it\'s a $HOME, "quoted" ' + "é" * 60) as clone:
        process = clone.run()
        password = clone.printed(process)["USER_PASSWORD"]
        assert clone.api().login("user@dev", password, "app").status == 200
        sockets = clone.sockets()
        assert stat.S_IMODE(sockets.stat().st_mode) == 0o700
        stop(process)
        assert not sockets.exists()


def test_a_socket_folder_of_another_account_is_refused(clone: Clone, tmp_path: Path) -> None:
    process = clone.run()
    clone.printed(process)
    sockets = clone.sockets()
    stop(process)
    for owner in ("a link", "daemon") if os.geteuid() == 0 else ("a link",):
        if owner == "a link":
            sockets.symlink_to(tmp_path)
        else:
            sockets.mkdir()
            shutil.chown(sockets, owner)
        assert clone.flask("users", "list").stderr == f"Error: {sockets} belongs to another account.\n"
        assert not clone.postgres()
        assert not list(sockets.iterdir())
        sockets.unlink() if sockets.is_symlink() else sockets.rmdir()


def test_commands_use_the_embedded_database_running_or_not(clone: Clone) -> None:
    assert clone.flask("users", "list").stderr.startswith("Error: DATABASE_URL is not set")
    process = clone.run()
    clone.printed(process)
    clone.api()
    assert "user@dev" in clone.flask("users", "list").stdout
    assert clone.postgres()
    stop(process)
    with ThreadPoolExecutor(3) as pool:
        for listed in pool.map(lambda _: clone.flask("users", "list"), range(3)):
            assert "user@dev" in listed.stdout, listed.stderr
    assert not clone.postgres()


def test_a_run_recreates_the_demo_accounts(clone: Clone) -> None:
    process = clone.run()
    first = clone.printed(process)
    stop(process)
    for command in (
        ["users", "disable", "user@dev"],
        ["users", "delete", "admin@dev"],
        ["services", "delete", "_demo"],
    ):
        assert clone.flask(*command).returncode == 0
    assert clone.flask("login-services", "delete", "app").returncode == 0
    process = clone.run()
    assert clone.printed(process) == first
    api = clone.api()
    for user, password in (("user@dev", first["USER_PASSWORD"]), ("admin@dev", first["ADMIN_PASSWORD"])):
        token = api.login(user, password, "app").ok()["accessToken"]
        service = api.refresh(first["DEMO_REFRESH_TOKEN"]).ok()["accessToken"]
        assert api.extend(service, token, "files:read").status == 200
    stop(process)


def test_the_database_stays_up_for_a_command_that_outlives_the_service(clone: Clone) -> None:
    process = clone.run()
    clone.printed(process)
    command = subprocess.Popen(
        [BIN / "flask", "users", "import", "-"], cwd=clone.home, env={"PATH": os.environ["PATH"]}, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    with psycopg.connect(f"host={clone.sockets()} user=postgres dbname=postgres", autocommit=True) as connection:
        while not connection.execute(TRANSACTIONS).fetchall():
            time.sleep(0.05)
    stop(process)
    user = {"id": "ada", "role": "USER", "firstNames": "Ada", "lastName": "B", "passwordHash": BCRYPT}
    assert command.communicate(json.dumps(user), 30)[0] == "imported 1 users\n"
    assert not clone.postgres()


@ONLY_ROOT
def test_no_permission_of_another_folder_is_changed(clone: Clone) -> None:
    parent = clone.home.parent
    process = clone.run()
    password = clone.printed(process)["USER_PASSWORD"]
    assert clone.api().login("user@dev", password, "app").status == 200
    stop(process)
    assert stat.S_IMODE(parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(clone.data().stat().st_mode) == 0o700
    assert clone.data().parent.stat().st_uid == 0


def test_make_run_takes_variables_as_files(clone: Clone, tmp_path: Path) -> None:
    (tmp_path / "port").write_text(f"{clone.port}\n")
    (tmp_path / "origins").write_text("https://a.example.org\n")
    files = {"PORT_FILE": str(tmp_path / "port"), "TRUSTED_ORIGINS_FILE": str(tmp_path / "origins")}
    ignored = {"DATABASE_URL_FILE": "/nowhere", "JWT_PRIVATE_KEY_FILE": "/nowhere"}  # as without _FILE
    process = clone.run(PORT="", **files, **ignored)
    printed = clone.printed(process)
    answer = clone.api().call("POST", "/auth/refresh", printed["DEMO_REFRESH_TOKEN"], Origin="https://a.example.org")
    assert (answer.status, answer.header("Access-Control-Allow-Origin")) == (200, "https://a.example.org")
    stop(process)
