"""Malformed requests over a socket: a clear 4xx, never a 500, and never read as two requests."""

import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from auth.ops.worker import REQUEST_SECONDS

from .support.servers import Server, serving
from .support.timing import seconds_of
from .support.world import World

pytestmark = pytest.mark.xdist_group("wire")

JSON_HEAD = b"Host: a\r\nContent-Type: application/json\r\n"
LOGIN = b"POST /auth/login HTTP/1.1\r\n" + JSON_HEAD
SMUGGLED = b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.fixture(scope="module")
def server(environment: dict[str, str]) -> Iterator[Server]:
    with serving(environment) as [server]:
        yield server


def exchange(server: Server, data: bytes, half_close: bool = True, seconds: float = 10) -> bytes:
    """All that the server answers to these bytes until it closes the connection or sends no more."""
    received = b""
    with socket.create_connection(("127.0.0.1", server.port), timeout=seconds) as connection:
        try:
            connection.sendall(data)
            if half_close:
                connection.shutdown(socket.SHUT_WR)
            while chunk := connection.recv(65536):
                received += chunk
        except OSError:  # a time-out, or a server that has closed already
            pass
    return received


def statuses(received: bytes) -> list[int]:
    """The status of every answer in what was received."""
    return [int(part[2:5]) for part in received.split(b"HTTP/1.")[1:]]


@pytest.mark.parametrize(
    ("request_", "allowed"),
    [
        # two lengths, and lengths that are none
        (LOGIN + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}" + SMUGGLED, {400}),
        (LOGIN + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}" + SMUGGLED, {400}),
        (LOGIN + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED, {400}),
        (LOGIN + b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n{}" + SMUGGLED, {400}),
        (LOGIN + b"Content-Length: -1\r\n\r\n" + SMUGGLED, {400}),
        (LOGIN + b"Content-Length: +2\r\n\r\n{}" + SMUGGLED, {400}),
        (LOGIN + b"Content-Length: 0x2\r\n\r\n{}" + SMUGGLED, {400}),
        (LOGIN + b"Content-Length: 2, 2\r\n\r\n{}" + SMUGGLED, {400}),
        (LOGIN + b"Transfer-Encoding: identity, chunked\r\n\r\nzz\r\n" + SMUGGLED, {400, 501}),
        (LOGIN + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + SMUGGLED, {400, 501}),
        (LOGIN + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + SMUGGLED, {400}),
        (LOGIN + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n" + SMUGGLED, {400, 501}),
        # chunks that cannot be read
        (LOGIN + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n" + SMUGGLED, {400}),
        (LOGIN + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n" + SMUGGLED, {400}),
        (LOGIN + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}XX" + SMUGGLED, {400}),
        (LOGIN + b"Transfer-Encoding: chunked\r\n\r\n2;a=\x01\r\n{}\r\n0\r\n\r\n" + SMUGGLED, {400}),
        (LOGIN + b"Transfer-Encoding: chunked\r\n\r\n2\n{}\n0\n\n" + SMUGGLED, {400}),
        (LOGIN + b"Transfer-Encoding: chunked\r\n\r\n" + b"1" * 9000 + b"\r\n", {400}),
        (LOGIN + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n", {400}),
        # headers that are none
        (b"POST /auth/login HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", {400, 401}),
        (b"GET /livez HTTP/1.1\r\nHost: a\r\nBad Name: x\r\n\r\n", {400}),
        (b"GET /livez HTTP/1.1\r\nHost: a\r\n folded: x\r\n\r\n", {400}),
        (b"GET /livez HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", {400}),
        (b"GET /livez HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n", {400}),
        (b"GET /livez HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 70_000 + b"\r\n\r\n", {400, 431}),
        (b"GET /livez HTTP/1.1\r\n" + b"X: a\r\n" * 500 + b"\r\n", {400, 431}),
        # request lines that are none
        (b"GET /" + b"a" * 10_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", {400, 414}),
        (b"get /livez HTTP/1.1\r\nHost: a\r\n\r\n", {400, 405}),
        (b"GET /livez HTTP/9.9\r\nHost: a\r\n\r\n", {400, 505}),
        (b"GET /livez\r\n\r\n", {400}),
        (b"GET http://evil.example/livez HTTP/1.1\r\nHost: a\r\n\r\n", {200, 400, 404}),
    ],
    ids=map(str, range(31)),
)  # fmt: skip
def test_a_broken_request_is_refused_once(server: Server, request_: bytes, allowed: set[int]) -> None:
    received = exchange(server, request_)
    found = statuses(received)
    assert len(found) == 1, received
    assert found[0] in allowed, received
    assert b"Traceback" not in received


@pytest.mark.parametrize(
    ("path", "header"), [("/auth/metrics", "SCRIPT_NAME: /auth"), ("/auth", "PATH_INFO: /metrics")]
)
def test_a_header_does_not_change_the_path(server: Server, path: str, header: str) -> None:
    """A proxy in front decides by the path that it sees, for example to deny /metrics."""
    request = f"GET {path} HTTP/1.1\r\nHost: a\r\n{header}\r\n\r\n".encode()
    assert statuses(exchange(server, request)) == [404]


def test_a_refused_body_is_not_the_next_request(server: Server) -> None:
    """The guard refuses before the body is read; what follows must not be taken for a request."""
    head = b"POST /auth/extend HTTP/1.1\r\n" + JSON_HEAD
    for framing, body in (
        (b"Transfer-Encoding: chunked\r\n", b"zz\r\n" + SMUGGLED),
        (b"Content-Length: 100000\r\n", SMUGGLED * 10),
    ):
        assert statuses(exchange(server, head + framing + b"\r\n" + body)) == [401]


def test_two_requests_on_a_connection_are_two(server: Server) -> None:
    """A good body is read to its end, so that the next request is found where it starts."""
    first = LOGIN + b"Content-Length: 2\r\n\r\n{}"
    assert statuses(exchange(server, first + SMUGGLED)) == [400, 200]
    unread = b"POST /auth/claim?jti=a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
    assert statuses(exchange(server, unread + SMUGGLED)) == [401, 200]
    ignored = b"POST /auth/refresh HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
    assert statuses(exchange(server, ignored + SMUGGLED)) == [401, 200]


def test_a_body_that_is_too_long(server: Server) -> None:
    """In chunks, with a length, and only announced; the server waits some seconds for a client that sends no more."""
    size = 2 * 1024 * 1024 + 1
    heads = [b"POST " + path + b" HTTP/1.1\r\n" + JSON_HEAD for path in (b"/auth/login", b"/auth/refresh")]
    chunk = f"{size:x}\r\n".encode() + b"a" * size + b"\r\n0\r\n\r\n"
    for head in heads:
        for data in (
            head + b"Transfer-Encoding: chunked\r\n\r\n" + chunk,
            head + f"Content-Length: {size}\r\n\r\n".encode() + b"a" * size,
        ):
            received = exchange(server, data)
            assert received == b"" or statuses(received) == [413]  # a reset may overtake the answer
    announced = [head + b"Content-Length: 99999999999\r\n\r\n" for head in heads]
    with ThreadPoolExecutor(len(announced)) as pool:
        for received in pool.map(lambda data: exchange(server, data, half_close=False, seconds=20), announced):
            assert statuses(received) == [413]


def test_a_body_that_ends_early(server: Server, world: World) -> None:
    """Half a body is no body, even where the half can be parsed."""
    bearer = world.service().access_token.encode()
    head = b"POST /auth/logout/bulk HTTP/1.1\r\nAuthorization: Bearer " + bearer + b"\r\n" + JSON_HEAD
    for framing, body in (
        (b"Content-Length: 100\r\n", b'{"tokens": []}'),
        (b"Transfer-Encoding: chunked\r\n", b'e\r\n{"tokens": []}'),
    ):
        received = exchange(server, head + framing + b"\r\n" + body)
        assert statuses(received) == [400]
        assert json.loads(received.partition(b"\r\n\r\n")[2])["errorCode"] == "UNREADABLE_BODY"


def test_two_authorization_headers_are_refused(server: Server, world: World) -> None:
    session = world.session()
    good = f"Authorization: Bearer {session.access_token}\r\n".encode()
    head = b"GET /auth/sessions HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
    assert statuses(exchange(server, head + good + b"\r\n")) == [200]
    assert statuses(exchange(server, head + good + good + b"\r\n")) == [401]
    assert statuses(exchange(server, head + b"Authorization: Bearer x\r\n" + good + b"\r\n")) == [401]


def test_slow_senders_are_disconnected_and_do_not_stop_the_service(server: Server, world: World) -> None:
    """With one in each of the 112 threads, each is cut off, and then every client is served."""
    token = world.session().refresh_token

    def connect(data: bytes) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", server.port), timeout=REQUEST_SECONDS * 2)
        connection.sendall(data)
        return connection

    head_only, body_only = b"POST /auth/login HTTP/1.1\r\nHo", LOGIN + b"Content-Length: 100\r\n\r\n{"
    slow = [connect(head_only), connect(head_only), connect(body_only), connect(body_only)]
    with ThreadPoolExecutor(8) as pool:

        def refresh_often() -> None:
            assert {answer.status for answer in pool.map(lambda _: server.api.refresh(token), range(50))} == {200}

        assert seconds_of(refresh_often, within=5) < 5
    started = time.monotonic()
    slow += [connect(body_only if n % 2 else head_only) for n in range(120)]
    assert server.client().refresh(token).status == 200
    assert time.monotonic() - started < REQUEST_SECONDS + 5
    for connection in slow:
        connection.close()
