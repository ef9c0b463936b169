"""Malformed requests over a socket: a clear 4xx, never a 500, and never read as two requests."""

import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest

from auth.core.errors import InvalidRequest
from auth.core.limits import BULK_BODY_BYTES, ID_CHARACTERS, NAME_CHARACTERS, TOKEN_CHARACTERS
from auth.ops.worker import REQUEST_SECONDS

from .support.servers import Server, serving
from .support.timing import seconds_of
from .support.wire import exchange, statuses
from .support.world import World, claims

pytestmark = pytest.mark.xdist_group("wire")

JSON_HEAD = b"Host: a\r\nContent-Type: application/json\r\n"
LOGIN = b"POST /auth/login HTTP/1.1\r\n" + JSON_HEAD
SMUGGLED = b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.fixture(scope="module")
def server(environment: dict[str, str]) -> Iterator[Server]:
    with serving(environment) as [server]:
        yield server


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
        (b"GET http://evil.example/livez HTTP/1.1\r\nHost: a\r\n\r\n", {404}),
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


@pytest.mark.parametrize("headers", [
    # the scheme, as gateways tell it; they may disagree
    "X-Forwarded-Proto: https\r\nX-Forwarded-Protocol: https",
    "X-Forwarded-Proto: https\r\nX-Forwarded-Ssl: off",
    "X-Forwarded-Protocol: ssl\r\nX-Forwarded-Ssl: off",
    "X-Forwarded-Proto: https\r\nX-Forwarded-Proto: http",
    "X-Forwarded-Proto: https,http\r\nX-Forwarded-Ssl: on",
    "X-Forwarded-Proto: \r\nFront-End-Https: on\r\nForwarded: proto=http;for=_x",
    # names that CGI has for its own variables
    "SCRIPT_NAME: /x", "PATH_INFO: /x", "Script-Name: /x", "Path-Info: /x", "REMOTE_ADDR: x", "HTTP_HOST: x",
    "Proxy: x", "CONTENT_LENGTH: 5", "TRANSFER_ENCODING: chunked", "Wsgi.Url_Scheme: ftp", "Raw-Uri: /x",
    # other protocols and methods
    "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__",
    "Connection: TE\r\nTE: trailers\r\nTrailer: x", "Keep-Alive: timeout=5", "X-HTTP-Method-Override: DELETE",
    "X-Original-URL: /metrics", "X-Rewrite-URL: /metrics", "X-Forwarded-Host: x y", "X-Forwarded-Prefix: /x",
    "X-Forwarded-Port: x", "Range: bytes=0-0", "If-None-Match: *", "Expect: 100-continue",
], ids=lambda headers: headers.replace("\r\n", " ")[:60])  # fmt: skip
def test_no_header_but_the_services_own_changes_an_answer(server: Server, headers: str) -> None:
    """gunicorn, CGI and Werkzeug read more headers than this service needs."""
    request = f"GET /livez HTTP/1.1\r\nHost: a\r\n{headers}\r\n\r\n".encode()
    received = exchange(server, request)
    assert [status for status in statuses(received) if status != 100] == [200], received
    assert received.endswith(b"{}")


@pytest.mark.parametrize("host", ["", "a b", "[::1", "a:x", "a:99999999", "\xe9", "a@b", "a/b", "a,b", "-", "a" * 63])
def test_no_host_changes_an_answer(server: Server, host: str) -> None:
    request = f"GET /livez HTTP/1.1\r\nHost: {host}\r\n\r\n".encode("latin-1")
    assert statuses(exchange(server, request)) == [200]


@pytest.mark.parametrize(("target", "status"), [
    ("{}", 200), ("{}?", 200), ("{}?x=//%2f%00", 200), ("{}?#x", 200),
    ("/{}", 404), ("//{}", 404), ("//a{}", 404), ("/.{}", 404), ("/./{}", 404), ("/x/..{}", 404), ("/../{}", 404),
    ("/;{}", 404), ("/%2f{}", 404), ("/%2e{}", 404), ("/%5c{}", 404), ("/\\{}", 404), ("/%c0%af{}", 404),
    ("{}/", 404), ("{}//", 404), ("{}/.", 404), ("{};x", 404), ("{}#", 404), ("{}#x?y", 404), ("{}%", 404),
    ("{}%00", 404), ("{}%20", 404), ("{}%0a", 404), ("{}%23", 404), ("{}%3f", 404), ("{}%2f", 404), ("{}\\", 404),
    ("http://a{}", 404), ("HTTP://a{}", 404), ("http://{}", 404), ("x://a{}?", 404),
    ("\t{}", 400), ("{}\t", 400), ("{}\0", 400), ("{}\x85", 400), ("\\{}", 400), ("*", 400), ("", 400), ("?", 400),
])  # fmt: skip
@pytest.mark.parametrize("path", ["/metrics", "/auth/sessions"])
def test_a_path_has_one_spelling(server: Server, world: World, path: str, target: str, status: int) -> None:
    """A proxy's rule for the exact path, for example to deny /metrics, would not see the others."""
    head = f"HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {world.session().access_token}\r\n\r\n"
    received = exchange(server, f"GET {target.format(path)} {head}".encode("latin-1"))
    assert statuses(received) == [status], received
    if status != 200:
        assert json.loads(received.partition(b"\r\n\r\n")[2])["errorCode"] in {"NOT_FOUND", "BAD_REQUEST"}


def test_a_path_has_one_spelling_in_each_character(server: Server) -> None:
    """The percent-encoding of any of them is not found, nor is another case."""
    path = "/metrics"
    spelled = [f"{path[:at]}%{ord(path[at]):{case}}{path[at + 1 :]}" for at in range(1, 8) for case in ("x", "X")]
    spelled += [path[:at] + path[at].upper() + path[at + 1 :] for at in range(1, 8)]
    requests = [f"GET {each} HTTP/1.1\r\nHost: a\r\n\r\n".encode() for each in spelled]
    assert set(statuses(exchange(server, b"".join(requests)))) == {404}


@pytest.mark.parametrize("method", ["CONNECT", "OPTIONS", "GET"])
@pytest.mark.parametrize("target", ["metrics", "*metrics", "metrics:80", "a://metrics", "*"])
def test_a_path_starts_with_a_slash(server: Server, method: str, target: str) -> None:
    assert set(statuses(exchange(server, f"{method} {target} HTTP/1.1\r\nHost: a\r\n\r\n".encode()))) <= {400, 404}


CHUNKED = LOGIN + b"Transfer-Encoding: chunked\r\n\r\n"
HEADERS = b"GET /livez HTTP/1.1\r\nHost: a\r\n" + (b"X: " + b"a" * 5990 + b"\r\n") * 9


@pytest.mark.parametrize(("request_", "status", "code"), [
    (HEADERS + b"\r\n", 200, None),  # 54 KB
    (HEADERS + (b"X: " + b"a" * 5990 + b"\r\n") * 4 + b"\r\n", 431, "BAD_REQUEST"),  # 78 KB
    (CHUNKED + b"1\r\n \r\n" * 2000 + b"0\r\n\r\n", 400, "INVALID_REQUEST"),
    (CHUNKED + b"1\r\n \r\n" * 2100 + b"0\r\n\r\n", 400, "UNREADABLE_BODY"),
    (CHUNKED + b"1;a=b\r\n \r\n0\r\na: b\r\n\r\n", 400, "INVALID_REQUEST"),
    (CHUNKED + b"1\r\n \r\n0\r\n" + (b"a: " + b"b" * 1000 + b"\r\n") * 9 + b"\r\n", 400, "UNREADABLE_BODY"),
], ids=["head", "long head", "chunks", "more chunks", "extension", "long trailers"])  # fmt: skip
def test_a_request_has_a_limited_size_in_limited_pieces(
    server: Server, request_: bytes, status: int, code: str | None
) -> None:
    received = exchange(server, request_)
    assert statuses(received) == [status], received
    assert json.loads(received.partition(b"\r\n\r\n")[2]).get("errorCode") == code


@pytest.mark.parametrize(("packets", "status"), [(200, 200), (600, 431)])
def test_a_head_arrives_in_limited_packets(server: Server, packets: int, status: int) -> None:
    """Slowly enough that the server reads each of them."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(b"GET /livez HTTP/1.1\r\nConnection: close\r\nX: ")
        with suppress(OSError):  # it may be refused before all are sent
            for _ in range(packets):
                connection.sendall(b"a")
                time.sleep(0.001)
            connection.sendall(b"\r\n\r\n")
        assert statuses(connection.recv(65536)) == [status]


def in_chunks(body: bytes, size: int) -> list[tuple[bytes, bytes, bytes]]:
    """The chunks of the body, each as its line, its data and its end."""
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    return [(f"{len(piece):x}\r\n".encode(), piece, b"\r\n") for piece in [*pieces, b""]]


@pytest.mark.parametrize("in_packets", [False, True], ids=["at once", "in packets"])
@pytest.mark.parametrize("size", [1024, 16 * 1024, 64 * 1024])
def test_the_longest_body_arrives_in_chunks(server: Server, world: World, size: int, in_packets: bool) -> None:
    """Of 1 KiB and more, also where the line, the data and the end of each are packets of their own."""
    tokens = b",".join([b'"%s"' % (b"x" * 43)] * 10_000)
    body = (b'{"tokens": [%s]}' % tokens).ljust(BULK_BODY_BYTES)
    head = b"POST /auth/logout/bulk HTTP/1.1\r\nAuthorization: Bearer " + world.service().access_token.encode()
    chunks = in_chunks(body, size)
    pieces = [piece for chunk in chunks for piece in chunk] if in_packets else [b"".join(map(b"".join, chunks))]
    received = exchange(server, head + b"\r\n" + JSON_HEAD + b"Transfer-Encoding: chunked\r\n\r\n", *pieces)
    assert statuses(received) == [200], received


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
    size = BULK_BODY_BYTES + 1
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


def test_the_longest_token_that_is_made_is_taken_back(server: Server, world: World) -> None:
    """Also by the names of people and services in the characters that take the most room, twelve bytes each."""
    emoji: dict[str, Any] = {
        "first_names": "😀" * NAME_CHARACTERS,
        "last_name": "😀" * NAME_CHARACTERS,
        "email": "😀" * ID_CHARACTERS,
        "org_id": "😀" * ID_CHARACTERS,
    }
    session = world.session(world.user(**emoji))
    assert server.api.sessions(session.access_token).status == 200
    scopes = [f"files.{number:05}:read" for number in range(1000)]
    lengths = []
    for count in range(500, 1000):
        try:
            token = world.access_token(session.id, ["all:write", *scopes[:count]])
        except InvalidRequest:
            break
        lengths.append(len(token))
    assert TOKEN_CHARACTERS - 30 < lengths[-1] <= TOKEN_CHARACTERS
    assert server.api.sessions(token).status == 200
    once = server.api.request_one_time_token(token, "files:read").ok()
    assert server.api.extend(world.service("files:read").access_token, token, "files:read").ok()
    assert claims(once["accessToken"])["sub"] == session.id


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
