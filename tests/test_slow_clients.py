"""Clients that are silent, slow or stay connected: they delay no other client, and the service disconnects them."""

import resource
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import pytest

from .support.servers import Server, serving
from .support.wire import attack, connections_of, workers_of
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
    "slow chunks": (LOGIN + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n"),
}
HOSTILE = {
    "chunks": (LOGIN + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n" * 60_000),
    "packets of a head": (b"GET /livez HTTP/1.1\r\nX: ", *[b"a"] * 500),
    "packets of a body": (LOGIN + b"Content-Length: 9000\r\n\r\n", *[b" "] * 3000),
    "long heads": (b"GET /livez HTTP/1.1\r\n", (b"X: " + b"a" * 8000 + b"\r\n") * 98),
    "requests at once": (b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n" * 200,),
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


def seconds_of_refresh(server: Server, token: str) -> float:
    started = time.monotonic()
    assert server.api.refresh(token).status == 200
    return time.monotonic() - started


@pytest.mark.parametrize("behaviour", BEHAVIOURS)
def test_slow_clients_delay_no_other_client(server: Server, world: World, behaviour: str) -> None:
    token = world.session().refresh_token
    seconds_of_refresh(server, token)
    with crowd(server, CROWD, *BEHAVIOURS[behaviour]):
        time.sleep(3 if behaviour == "never reading" else 0.5)  # it takes a while to fill the buffers of 60 connections
        for _ in range(5):
            assert seconds_of_refresh(server, token) < 1
            time.sleep(0.2)


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_clients_delay_no_other_client(server: Server, world: World, kind: str) -> None:
    """Each sends the same again as soon as it has been answered."""
    token = world.session().refresh_token
    seconds_of_refresh(server, token)
    with attack(server, CROWD, *HOSTILE[kind]):
        waited = [seconds_of_refresh(server, token) for _ in range(5)]
    assert sorted(waited)[2] < 1, waited


def test_slow_clients_are_disconnected(server: Server) -> None:
    """Each kind within about 20 seconds, also when a byte arrives every second."""
    with ExitStack() as stack:
        waiting = {name: stack.enter_context(crowd(server, 2, *sent)) for name, sent in BEHAVIOURS.items()}
        del waiting["silent"]
        deadline = time.monotonic() + 25
        while waiting:
            assert time.monotonic() < deadline, list(waiting)
            time.sleep(0.2)
            ports = connections_of(server)
            waiting = {
                name: each for name, each in waiting.items() if any(one.getsockname()[1] in ports for one in each)
            }


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
            assert seconds_of_refresh(server, token) < 10
            assert workers_of(server) == before
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
