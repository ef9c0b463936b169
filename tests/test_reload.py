"""New code and new configuration in a running service: HUP, USR2, and a socket that systemd holds."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from .api import Answer, Api, send_to_server
from .servers import BIN, PROJECT, Server, free_port, serving
from .world import World, claims

pytestmark = pytest.mark.xdist_group("reload")

UNREADABLE = b"nonsense\r\n\r\n"
SYSTEMD = """
import os, sys
os.environ |= {"LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid())}
given = int(sys.argv[1])
if given != 3:
    os.dup2(given, 3)
    os.close(given)  # as with systemd, no other descriptor of the socket is in the service
os.execv(sys.argv[2], sys.argv[2:])
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A copy of the project that a test may change."""
    for name in ("app.py", "gunicorn.conf.py"):
        shutil.copy(PROJECT / name, tmp_path)
    for name in ("auth", "sql"):
        shutil.copytree(PROJECT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def wait_until(condition: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@contextmanager
def refreshing(server: Server, token: str, clients: int = 4) -> Iterator[list[Answer]]:
    """Clients that refresh again and again; each of their requests must be answered with 200."""
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
    assert {answer.status for answer in answers} == {200}


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
        assert claims(server.api.refresh(token).json["accessToken"])["iss"] == "cloud.sdu.dk"
        before = children(server.process.pid)
        replace(home / "auth/errors.py", '"""Invalid token"""', '"""This token is not valid."""')
        replace(home / "auth/config.py", 'default="cloud.sdu.dk"', 'default="new.example.org"')
        replace(home / "auth/worker.py", '"BAD_REQUEST"', '"NEW_BAD_REQUEST"')
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: not any(child.is_running() for child in before))
        for _ in range(20):
            assert claims(server.api.refresh(token).json["accessToken"])["iss"] == "new.example.org"
            assert server.api.refresh("unknown").json["why"] == "This token is not valid."
            assert b"NEW_BAD_REQUEST" in unreadable(server)
        assert server.process.poll() is None


@pytest.mark.parametrize(
    ("name", "mistake"),
    [
        ("auth/errors.py", "this is no Python"),
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


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGQUIT])
def test_usr2_hands_over_to_a_new_master(
    environment: dict[str, str], world: World, home: Path, stop: signal.Signals
) -> None:
    token = world.session().refresh_token
    server = Server(environment, workers=2, home=home)
    server.wait_until_up()
    replace(home / "auth/config.py", 'default="cloud.sdu.dk"', 'default="new.example.org"')
    server.process.send_signal(signal.SIGUSR2)
    wait_until(lambda: new_master(server) and len(new_master(server)[0].children()) >= 2)
    [master] = new_master(server)
    try:
        wait_until(lambda: claims(server.api.refresh(token).json["accessToken"])["iss"] == "new.example.org")
        server.process.send_signal(stop)
        server.process.wait(20)
        for _ in range(20):
            assert claims(server.api.refresh(token).json["accessToken"])["iss"] == "new.example.org"
    finally:
        master.terminate()
        psutil.wait_procs([master], timeout=20)
    assert not master.is_running()


def new_master(server: Server) -> list[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        return [child for child in psutil.Process(server.process.pid).children() if child.children()]
    return []


def test_a_socket_of_systemd_outlives_the_service(environment: dict[str, str], world: World) -> None:
    """The service is restarted twice on it; a request sent between two runs is answered by the later one."""
    token = world.session().refresh_token
    with socket.create_server(("127.0.0.1", free_port())) as listener, ThreadPoolExecutor(1) as pool:
        api = Api(send_to_server(listener.getsockname()[1]))
        for _ in range(3):
            early = pool.submit(api.refresh, token)
            started = subprocess.Popen(
                [sys.executable, "-c", SYSTEMD, str(listener.fileno()), str(BIN / "gunicorn"), "app:app"],
                cwd=PROJECT,
                env={"PATH": os.environ["PATH"], "LOG_LEVEL": "warning", **environment},
                pass_fds=[listener.fileno()],
            )
            try:
                assert early.result().status == 200
                assert {api.refresh(token).status for _ in range(10)} == {200}
            finally:
                started.terminate()
                assert started.wait(30) == 0


def test_the_master_imports_little_of_ours(environment: dict[str, str]) -> None:
    """What it has imported is old after HUP. A worker imports the rest after the fork."""
    load = "runpy.run_path('gunicorn.conf.py'); import auth.ops.worker"
    program = f"import runpy, sys; sys.path.insert(0, ''); {load}; print(*sys.modules)"
    command = [sys.executable, "-c", program]
    finished = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=True)
    imported = finished.stdout.split()
    ours = {name for name in imported if name.partition(".")[0] in ("auth", "app")}
    assert ours == {"auth", "auth.ops", "auth.ops.log", "auth.ops.metrics_folder", "auth.ops.worker", "auth.platform"}
    assert not {"flask", "msgspec", "prometheus_client", "psycopg"} & set(imported)
