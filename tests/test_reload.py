"""HUP loads new code and new configuration into a running service."""

import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from .support.copies import copied, issuer, refreshing, replace, wait_until
from .support.servers import PROJECT, Server, serving
from .support.world import World

pytestmark = pytest.mark.xdist_group("reload")

UNREADABLE = b"nonsense\r\n\r\n"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return copied(tmp_path)


def unreadable(server: Server) -> bytes:
    with socket.create_connection(("127.0.0.1", server.port), 10) as connection:
        connection.sendall(UNREADABLE)
        return connection.makefile("rb").read()


def children(pid: int) -> list[psutil.Process]:
    return [child for child in psutil.Process(pid).children() if child.status() != psutil.STATUS_ZOMBIE]


def test_hup_loads_all_code_anew(environment: dict[str, str], world: World, home: Path) -> None:
    """Also the modules that gunicorn's master may have imported; each request meanwhile is answered."""
    token = world.session().refresh_token
    with serving(environment, workers=2, home=home) as [server], refreshing(server, token):
        assert issuer(server, token) == "cloud.sdu.dk"
        before = children(server.process.pid)
        replace(home / "auth/core/errors.py", '"""Invalid token"""', '"""This token is not valid."""')
        replace(home / "auth/config.py", '"cloud.sdu.dk"', '"new.example.org"')
        replace(home / "auth/ops/worker.py", '"BAD_REQUEST"', '"NEW_BAD_REQUEST"')
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: not any(child.is_running() for child in before))
        for _ in range(20):
            assert issuer(server, token) == "new.example.org"
            assert server.api.refresh("unknown").json["why"] == "This token is not valid."
            assert b"NEW_BAD_REQUEST" in unreadable(server)
        assert server.process.poll() is None


def test_a_changed_file_of_a_variable_is_read_at_hup_and_not_before(
    environment: dict[str, str], world: World, tmp_path: Path
) -> None:
    """Not by a worker that replaces a dead one: the workers of a server would have different values."""
    token, file = world.session().refresh_token, tmp_path / "issuer"
    file.write_text("https://old.example.org\n")
    with serving({**environment, "JWT_ISSUER_FILE": str(file)}, workers=1) as [server]:
        assert issuer(server, token) == "https://old.example.org"
        file.write_text("https://new.example.org")
        [worker] = children(server.process.pid)
        worker.kill()
        wait_until(lambda: any(child.pid != worker.pid for child in children(server.process.pid)))
        server.wait_until_up()
        assert issuer(server, token) == "https://old.example.org"
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: issuer(server, token) == "https://new.example.org")


@pytest.mark.parametrize(
    ("name", "mistake"),
    [
        ("auth/core/errors.py", "this is no Python"),
        ("gunicorn.conf.py", "this is no Python"),
        ("gunicorn.conf.py", "import os; os.environ['COOKIE_SECURE'] = 'x'"),
    ],
    ids=["code", "gunicorn's configuration", "environment"],
)
def test_hup_with_a_mistake_changes_nothing(
    environment: dict[str, str], world: World, home: Path, name: str, mistake: str
) -> None:
    """The old workers go on; after the mistake is mended, HUP loads the new code."""
    token, good = world.session().refresh_token, (home / name).read_text()
    with serving(environment, home=home) as [server], refreshing(server, token):
        before = children(server.process.pid)
        (home / name).write_text(f"{mistake}\n{good}")
        server.process.send_signal(signal.SIGHUP)
        time.sleep(3)
        assert [child for child in children(server.process.pid) if child in before] == before
        (home / name).write_text(f"import os; os.environ['COOKIE_SECURE'] = '1'\n{good}")
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: not any(child.is_running() for child in before))


def test_the_master_imports_little_of_ours(environment: dict[str, str]) -> None:
    """What it has imported is old after HUP. A worker imports the rest after the fork."""
    load = "runpy.run_path('gunicorn.conf.py'); import auth.ops.worker"
    program = f"import runpy, sys; sys.path.insert(0, ''); {load}; print(*sys.modules)"
    command = [sys.executable, "-c", program]
    finished = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=True)
    imported = finished.stdout.split()
    ours = {name for name in imported if name.partition(".")[0] in ("auth", "app")}
    assert ours == {"auth", "auth.ops", "auth.ops.log", "auth.ops.parser", "auth.ops.worker"}
    assert not {"flask", "msgspec", "prometheus_client", "psycopg"} & set(imported)
