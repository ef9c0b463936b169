"""A new service takes over the socket of an old one: USR2, and a socket that systemd holds."""

import os
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from pathlib import Path

import psutil
import pytest

from .support.api import Api, send_to_server
from .support.copies import copied, issuer, refreshing, replace, wait_until
from .support.servers import BIN, PROJECT, Server, free_port, serving
from .support.world import World

pytestmark = pytest.mark.xdist_group("handover")

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
    return copied(tmp_path)


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGQUIT])
def test_usr2_hands_over_to_a_new_master(
    environment: dict[str, str], world: World, home: Path, stop: signal.Signals
) -> None:
    token = world.session().refresh_token
    with serving(environment, workers=2, home=home) as [server]:
        replace(home / "auth/config.py", '"cloud.sdu.dk"', '"new.example.org"')
        server.process.send_signal(signal.SIGUSR2)
        wait_until(lambda: new_master(server))
        [master] = new_master(server)
        try:
            with nullcontext() if stop == signal.SIGQUIT else refreshing(server, token):  # QUIT ends requests too
                wait_until(lambda: issuer(server, token) == "new.example.org")
                server.process.send_signal(stop)
                server.process.wait(60)
            for _ in range(20):
                assert issuer(server, token) == "new.example.org"
        finally:
            master.terminate()
            psutil.wait_procs([master], timeout=30)
    assert not master.is_running()


def new_master(server: Server) -> list[psutil.Process]:
    """The child of the server's master that has workers of its own."""
    with suppress(psutil.NoSuchProcess):
        return [child for child in psutil.Process(server.process.pid).children() if len(child.children()) >= 2]
    return []


def test_a_socket_of_systemd_outlives_the_service(environment: dict[str, str], world: World) -> None:
    """The service is restarted on it; a request sent between the two runs is answered by the later one."""
    token = world.session().refresh_token
    with socket.create_server(("127.0.0.1", free_port())) as listener, ThreadPoolExecutor(1) as pool:
        api = Api(send_to_server(listener.getsockname()[1]))
        for _ in range(2):
            early = pool.submit(api.refresh, token)
            started = subprocess.Popen(
                [sys.executable, "-c", SYSTEMD, str(listener.fileno()), str(BIN / "gunicorn"), "app:app"],
                cwd=PROJECT,
                env={"PATH": os.environ["PATH"], "LOG_LEVEL": "warning", "WEB_CONCURRENCY": "1", **environment},
                pass_fds=[listener.fileno()],
            )
            try:
                assert early.result().status == 200
                assert {api.refresh(token).status for _ in range(10)} == {200}
            finally:
                started.terminate()
                assert started.wait(30) == 0
