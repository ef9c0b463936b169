"""Clients that are silent, slow or stay connected: they delay no other client, and the service disconnects them."""

import http.client
import re
import resource
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress

import pytest

from auth.cli.common import DirectDatabase

from .support.servers import PROJECT, Server, serving
from .support.timing import seconds_of
from .support.wire import attack, connections_of, workers_of
from .support.world import World

pytestmark = pytest.mark.xdist_group("slow-clients")

CROWD = 60
LOGIN = b"POST /auth/login HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
BEHAVIOURS = {
    "silent": (b"", b""),
    "slow headers": (b"GET /livez HTTP/1.1\r\nX: ", b"a"),
    "slow body": (LOGIN + b"Content-Length: 100\r\n\r\n{", b" "),
    "never reading": (b"GET /openapi.json HTTP/1.1\r\nHost: a\r\n\r\n" * 400, b""),  # more than buffers hold
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


def test_slow_clients_and_stuck_requests_together_delay_no_other_client(
    server: Server, world: World, database_url: str
) -> None:
    """Each of them holds a thread: 60 slow clients, and 8 claims that wait for a lock for over a second."""
    bearer, token, jti = world.service().access_token, world.session().refresh_token, secrets.token_hex(8)
    with crowd(server, CROWD, *BEHAVIOURS["slow body"]), ThreadPoolExecutor(8) as pool:
        assert seconds_of_refresh(server, token) < 1
        with DirectDatabase(database_url).transaction() as transaction:
            world.claim(jti, transaction)
            stuck = [pool.submit(server.client().claim, bearer, jti) for _ in range(8)]
            time.sleep(0.2)
            assert seconds_of_refresh(server, token) < 1
            assert not any(claim.done() for claim in stuck)


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_clients_delay_no_other_client(server: Server, world: World, kind: str) -> None:
    """Each sends the same again as soon as it has been answered."""
    token = world.session().refresh_token
    seconds_of_refresh(server, token)
    with attack(server, CROWD, *HOSTILE[kind]):
        waited = [seconds_of_refresh(server, token) for _ in range(5)]
    assert sorted(waited)[2] < 1, waited


def test_slow_clients_are_disconnected_and_idle_ones_are_not(server: Server) -> None:
    """Each slow one within about 20 seconds, also when a byte arrives every second. Routers idle for up to 90."""
    with ExitStack() as stack:
        router = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        stack.callback(router.close)
        assert reused(router) == 200
        waiting = {name: stack.enter_context(crowd(server, 2, *sent)) for name, sent in BEHAVIOURS.items()}
        del waiting["silent"]  # it idles, too
        deadline = time.monotonic() + 35  # it takes a while to fill the buffers of one that never reads
        while waiting:
            assert time.monotonic() < deadline, list(waiting)
            time.sleep(0.2)
            ports = connections_of(server)
            waiting = {
                name: each for name, each in waiting.items() if any(one.getsockname()[1] in ports for one in each)
            }
        connected = router.sock
        assert reused(router) == 200
        assert router.sock is connected
    assert keepalive() > 90


def reused(connection: http.client.HTTPConnection) -> int:
    connection.request("GET", "/livez")
    response = connection.getresponse()
    response.read()
    return response.status


def keepalive() -> int:
    """The setting, as the file has it: a test cannot wait that long."""
    [seconds] = re.findall(r"^keepalive = ([0-9]+)", (PROJECT / "gunicorn.conf.py").read_text(), re.MULTILINE)
    return int(seconds)


def test_idle_connections_take_no_place_from_others(environment: dict[str, str], world: World) -> None:
    """More than there are file descriptors: no worker ends, all are served at once, and a stop does not wait."""
    token = world.session().refresh_token
    limit, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, hard))
    try:
        with serving(environment) as [server]:
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
            before = workers_of(server)
            for first in (b"", b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n"):
                with crowd(server, 600, first):
                    seconds_of_refresh(server, token)  # accepted after all of them
                    assert min(seconds_of_refresh(server, token) for _ in range(3)) < 1
                    router = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
                    assert [reused(router), reused(router)] == [200, 200]
                    assert router.sock is not None  # the server did not say `Connection: close`
                    router.close()
                    if first:
                        assert workers_of(server) == before
                        started = time.monotonic()
                        assert server.stop() == 0
                        assert time.monotonic() - started < 10
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
