"""Clients that are silent, slow or stay connected: they delay no other client, and the service disconnects them."""

import resource
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import pytest

from .support.servers import Server, serving
from .support.timing import seconds_of
from .support.world import World

pytestmark = pytest.mark.xdist_group("slow-clients")

CROWD = 60
LOGIN = b"POST /auth/login HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
BEHAVIOURS = {
    "silent": (b"", b""),
    "slow headers": (b"GET /livez HTTP/1.1\r\nX: ", b"a"),
    "slow body": (LOGIN + b"Content-Length: 100\r\n\r\n{", b" "),
    "never reading": (b"GET /openapi.json HTTP/1.1\r\nHost: a\r\n\r\n" * 100, b""),
    "open after close": (b"GET /livez HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", b""),
}


@pytest.fixture(scope="module")
def server(environment: dict[str, str]) -> Iterator[Server]:
    with serving(environment) as [server]:
        yield server


@contextmanager
def crowd(server: Server, size: int, first: bytes, later: bytes = b"") -> Iterator[list[socket.socket]]:
    """That many connections that send `first`, then `later` once a second, and never read."""
    stop = threading.Event()
    with ExitStack() as stack:
        connections = [stack.enter_context(socket.socket()) for _ in range(size)]
        for connection in connections:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.settimeout(10)
            connection.connect(("127.0.0.1", server.port))
            connection.sendall(first)
        sender = threading.Thread(target=send_slowly, args=(connections, later, stop))
        sender.start()
        try:
            yield connections
        finally:
            stop.set()
            sender.join()


def send_slowly(connections: list[socket.socket], later: bytes, stop: threading.Event) -> None:
    while not stop.wait(1):
        for connection in connections if later else []:
            with suppress(OSError):
                connection.sendall(later)


def seconds_of_refresh(server: Server, token: str, within: float = 1) -> float:
    return seconds_of(lambda: server.api.refresh(token).ok(), within)


@pytest.mark.parametrize("behaviour", BEHAVIOURS)
def test_slow_clients_delay_no_other_client(server: Server, world: World, behaviour: str) -> None:
    token = world.session().refresh_token
    seconds_of_refresh(server, token)
    with crowd(server, CROWD, *BEHAVIOURS[behaviour]):
        time.sleep(3 if behaviour == "never reading" else 0.5)  # it takes a while to fill the buffers of 60 connections
        for _ in range(5):
            assert seconds_of_refresh(server, token) < 1
            time.sleep(0.2)


def test_slow_clients_are_disconnected(server: Server) -> None:
    """Each kind within about 20 seconds, also when a byte arrives every second."""
    with ExitStack() as stack:
        waiting = {name: stack.enter_context(crowd(server, 2, *sent)) for name, sent in BEHAVIOURS.items()}
        deadline = time.monotonic() + 25
        while waiting:
            assert time.monotonic() < deadline, list(waiting)
            time.sleep(0.2)
            waiting = {name: each for name, each in waiting.items() if any(is_open(server, one) for one in each)}


def is_open(server: Server, connection: socket.socket) -> bool:
    """Whether a process of the server still holds the other end of this connection."""
    port = f"{connection.getsockname()[1]:04X}"
    with open("/proc/net/tcp") as file:
        rows = [line.split() for line in file]
    ours = [row for row in rows if row[1].endswith(f":{server.port:04X}") and row[2].endswith(f":{port}")]
    return any(row[9] != "0" for row in ours)  # without an inode no process has it open


def test_more_connections_than_file_descriptors_end_no_worker(environment: dict[str, str], world: World) -> None:
    token = world.session().refresh_token
    limit, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, hard))
    try:
        with serving(environment) as [server]:
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
            before = workers_of(server)
            with crowd(server, 1100, b""):
                time.sleep(1)
            assert seconds_of_refresh(server, token, within=10) < 10
            assert workers_of(server) == before
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))


def workers_of(server: Server) -> list[int]:
    listed = subprocess.run(["pgrep", "-P", str(server.process.pid)], capture_output=True, text=True, check=True)
    return [int(pid) for pid in listed.stdout.split()]
