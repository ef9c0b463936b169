"""What a request of a client that is not logged in costs: its processor time, beside that of one password hash.

A hash takes some 20 ms, and a request without a login may take 50. Measured in a worker that reads from a socket.
"""

import base64
import math
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial

import pytest

from auth.core.errors import ApiError
from auth.core.limits import BULK_BODY_BYTES, MODEL_BODY_BYTES
from auth.core.password_rules import check
from auth.core.passwords import hash_password

from .support.api import Api
from .support.servers import Server, serving
from .support.wire import exchange, processor_seconds, statuses, wait_for_no_connection, workers_of
from .support.world import ORIGIN, PASSWORD

pytestmark = pytest.mark.xdist_group("costs")

FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data; boundary=f"
PART = b'--f\r\nContent-Disposition: form-data; name="a"'
END = b"\r\n--f--"
SIZES = {
    16 * 1024: 400,
    MODEL_BODY_BYTES: 400,
    BULK_BODY_BYTES: 413,
}  # the limits of part headers, a login and any body
LEAST_ROUNDS, MOST_ROUNDS = 2, 20
LINE = (
    28 * 1024
)  # of a header line, which may have 32 KiB. gunicorn joins those of one name, and a head may have 64 KiB

Clock = Callable[[], float]


def nested(first: str, last: str) -> str:
    """A token as long as a header line, whose own header is JSON that is nested as deep as possible."""
    times = LINE * 3 // 4 // len(first + last) - 8
    header = base64.urlsafe_b64encode((first * times + last * times).encode()).decode().rstrip("=")
    return f"Bearer {header}.a.a"


def costs_less(work: Callable[[], object], hash_part: float = 1, clock: Clock = time.thread_time) -> bool:
    """Whether the work takes less processor time, by that clock, than that part of a password hash.

    The two run in turns, as other load on the machine slows both; it only adds, so the least time of each counts.
    """
    least_work = least_hash = math.inf
    for number in range(1, MOST_ROUNDS + 1):
        least_work = min(least_work, seconds(work, clock))
        least_hash = min(least_hash, seconds(lambda: hash_password(PASSWORD), time.thread_time))
        if number >= LEAST_ROUNDS and least_work < least_hash * hash_part:
            return True
    return False


def seconds(work: Callable[[], object], clock: Clock) -> float:
    started = clock()
    work()
    return clock() - started


def filled(start: bytes, repeated: bytes, end: bytes, size: int) -> bytes:
    """A body of nearly that size."""
    return start + repeated * ((size - len(start) - len(end)) // len(repeated)) + end


BODIES: dict[str, tuple[str, bytes, bytes, bytes]] = {
    "percent-encoded form": (FORM, b"a=", b"%41", b""),
    "form of many fields": (FORM, b"", b"a=b&", b""),
    "header of many parameters": (MULTIPART, PART, b";a=b", b"\r\n\r\nx" + END),
    "header of escaped quotes": (MULTIPART, PART + b'; b="', b'\\"', b'"\r\n\r\nx' + END),
    "percent-encoded header": (MULTIPART, PART + b"; b*=utf-8''", b"%41", b"\r\n\r\nx" + END),
    "one long header": (MULTIPART, PART[:-1], b"a", b'"\r\n\r\nx' + END),
    "part of many headers": (MULTIPART, PART, b"\r\na:b", b"\r\n\r\nx" + END),
    "folded header": (MULTIPART, PART, b"\r\n a", b"\r\n\r\nx" + END),
    "many parts": (MULTIPART, b"", PART + b"\r\n\r\nx\r\n", END),
    "many files": (MULTIPART, b"", PART + b'; filename="b"\r\n\r\nx\r\n', END),
    "almost the boundary": (MULTIPART, PART + b"\r\n\r\n", b"\r\n--", END),
    "deep JSON": ("application/json", b"", b'{"a":[', b""),
    "JSON of many keys": ("application/json", b'{"a":1', b',"a":1', b"}"),
    "JSON of escapes": ("application/json", b'{"username":"', b"\\u0041", b'"}'),
    "JSON number of many digits": ("application/json", b'{"username":', b"9", b"}"),
}


@pytest.fixture(scope="module")
def server(environment: dict[str, str]) -> Iterator[Server]:
    with serving(environment) as [server]:
        yield server


def costs_the_server_less(server: Server, hash_part: float, *pieces: bytes, allowed: set[int]) -> bool:
    """Whether these bytes, which get one of those answers, cost the server less than that part of a password hash."""
    workers = workers_of(server)

    def send() -> None:
        answered = statuses(exchange(server, *pieces))
        assert set(answered) <= allowed, answered  # none where a reset overtakes the answer
        wait_for_no_connection(server)

    return costs_less(send, hash_part, partial(processor_seconds, workers))


def head(method: str, path: str, **headers: str) -> bytes:
    lines = [f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items()]
    return f"{method} {path} HTTP/1.1\r\nHost: a\r\n{''.join(lines)}\r\n".encode()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", BODIES)
def test_a_login_body_costs_less_than_a_hash(server: Server, kind: str, size: int) -> None:
    content_type, start, repeated, end = BODIES[kind]
    body = filled(start, repeated, end, size)
    sent = head("POST", "/auth/login", Content_Type=content_type, Content_Length=str(len(body)))
    assert costs_the_server_less(server, 1, sent, body, allowed={SIZES[size]})


@pytest.mark.parametrize("path", ["token", "introspect", "revoke"])
@pytest.mark.parametrize("kind", ["percent-encoded form", "form of many fields", "many scopes"])
def test_a_form_of_a_door_costs_less_than_a_hash(server: Server, path: str, kind: str) -> None:
    """Beside a header with the longest id and secret."""
    _, start, repeated, end = BODIES.get(
        kind, (FORM, b"grant_type=refresh_token&refresh_token=x&scope=", b"a:read+", b"")
    )
    body = filled(b"token=x&" + start, repeated, end, MODEL_BODY_BYTES)
    basic = base64.b64encode(b"%41" * (LINE // 8) + b":" + b"%41" * (LINE // 8)).decode()
    headers = {"Content_Type": FORM, "Content_Length": str(len(body)), "Authorization": f"Basic {basic}"}
    sent = head("POST", f"/auth/oauth/{path}", **headers)
    assert costs_the_server_less(server, 1, sent, body, allowed={200, 400, 401})


CHUNKED = head("POST", "/auth/login", Content_Type="application/json", Transfer_Encoding="chunked")
LENGTH = head("POST", "/auth/login", Content_Type="application/json", Content_Length="30000")
FRAMINGS: dict[str, tuple[bytes, ...]] = {
    "chunks of one byte": (CHUNKED, b"1\r\na\r\n" * 60_000, b"0\r\n\r\n"),
    "2 MiB of such chunks": (CHUNKED, b"1\r\na\r\n" * 350_000),
    "chunks in packets": (CHUNKED, *[b"1\r\na\r\n"] * 20_000),
    "lengths of many zeros": (CHUNKED, (b"0" * 8000 + b"1\r\na\r\n") * 1000),
    "many extensions": (CHUNKED, (b"1" + b";a=b" * 2000 + b"\r\na\r\n") * 1000),
    "quoted extensions": (CHUNKED, (b"1" + b';a="\\\\"' * 1000 + b"\r\na\r\n") * 1000),
    "short extensions": (CHUNKED, (b"1" + b";a" * 100 + b"\r\na\r\n") * 10_000),
    "trailers": (CHUNKED, b"0\r\n" + b"a: b\r\n" * 20_000),
    "a trailer in packets": (CHUNKED, b"0\r\na: ", *[b"b"] * 20_000),
    "a body in packets": (LENGTH, *[b" "] * 30_000),
    "a body after the answer": (head("POST", "/auth/x", Content_Length="30000"), *[b" "] * 30_000),
    "chunks after the answer": (CHUNKED.replace(b"login", b"x"), b"1\r\na\r\n" * 60_000),
    "packets after the end": (b"x\r\n", *[b" "] * 30_000),
}


@pytest.mark.parametrize("kind", FRAMINGS)
def test_a_body_costs_less_than_two_hashes_however_it_is_sent(server: Server, kind: str) -> None:
    assert costs_the_server_less(server, 2, *FRAMINGS[kind], allowed={400, 404})


START = b"GET /auth/sessions HTTP/1.1\r\n"
HEADS: dict[str, tuple[bytes, ...]] = {
    "a request line in packets": tuple(bytes([byte]) for byte in b"GET /" + b"a" * 4000),
    "a header in packets": (START + b"a: ", *[b"b"] * 8000),
    "a long head": (START, *[b"a: " + b"b" * 8000 + b"\r\n"] * 100),
    "the end of a long head in packets": (START, (b"a: " + b"b" * 8000 + b"\r\n") * 7, *[b"a"] * 8000),
    "many headers": (START, b"a: b\r\n" * 20_000),
    "folded headers": (START + b"a: b\r\n", b" b\r\n" * 20_000),
    "an endless line": (b"a" * 500_000,),
    "empty lines": (b"\r\n" * 100_000,),
    "header names of one letter": (START, *[b"%c: b\r\n" % name for name in b"abcdefghijklmnop" * 6], b"\r\n"),
}


@pytest.mark.parametrize("kind", HEADS)
def test_a_head_costs_less_than_two_hashes(server: Server, kind: str) -> None:
    assert costs_the_server_less(server, 2, *HEADS[kind], allowed={400, 401, 404, 414, 431})


@pytest.mark.parametrize("cookie", ["a=b;", ";", "=;", 'a="\\101";'])
@pytest.mark.parametrize("lines", [1, 2])
def test_many_cookies_cost_less_than_a_hash(server: Server, cookie: str, lines: int) -> None:
    cookies = "\r\nCookie: ".join([cookie * (LINE // len(cookie))] * lines)
    sent = head("POST", "/auth/refresh/web", Origin=ORIGIN, X_CSRFToken="x", Cookie=cookies)
    assert costs_the_server_less(server, 1, sent, allowed={400})


@pytest.mark.parametrize(("first", "last"), [("[", "]"), ('{"a":', "}"), ("[1,", "1]")])
def test_a_nested_token_costs_less_than_a_hash(server: Server, first: str, last: str) -> None:
    for path in ("/auth/sessions", "/auth/verify?scope=a:read"):
        sent = head("GET", path, Authorization=nested(first, last))
        assert costs_the_server_less(server, 1, sent, allowed={401})


@pytest.mark.parametrize(
    ("method", "path", "name", "value"),
    [
        ("GET", "/livez", "Accept", "a/b;q=0.1," * (LINE // 10)),
        ("GET", "/auth/sessions", "Authorization", "Bearer " + "a" * (LINE - 7)),
        ("GET", "/auth/sessions", "Origin", "https://a:" + "9" * (LINE - 10)),
        ("GET", "/auth/sessions?" + "a=%41&" * 650, "X-Request-Id", "a" * LINE),
        ("POST", "/auth/login", "Content-Type", "a/b" + ";a=b" * (LINE // 4 - 1)),
        ("POST", "/auth/refresh", "X-Forwarded-For", "1," * (LINE // 2)),
        ("GET", "/" + "%c3%a9" * 650, "Host", "a" * LINE),
        ("GET", "/" + "../" * 1300, "User-Agent", "a" * LINE),
        ("GET", "/auth/sessions/" + "/" * 4000, "Referer", "a" * LINE),
    ],
    ids=["Accept", "Authorization", "Origin", "query", "Content-Type", "X-Forwarded-For", "path", "dots", "slashes"],
)
def test_large_headers_cost_less_than_a_hash(server: Server, method: str, path: str, name: str, value: str) -> None:
    """Two of each, where more than one is taken."""
    once = name in ("Content-Type", "Host")
    lines = f"{name}: {value[: LINE - len(name) - 4]}\r\n" * (1 if once else 2)
    sent = f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode()
    assert costs_the_server_less(server, 1, sent, allowed={200, 400, 401, 404, 415})


EXPENSIVE = ["ituii" * 12 + "iiar", ("toi" * 22)[:64], "@4{([<6913!1|705$2%z" * 4, "9876543210" * 7, "1234567\n" * 8]


@pytest.mark.parametrize("password", EXPENSIVE)
def test_a_reset_of_a_stranger_costs_less_than_a_hash(api: Api, password: str) -> None:
    """Whatever the new password is: it is not scored without a token."""
    assert costs_less(lambda: api.reset_password("unknown", password).refused(401))


@pytest.mark.parametrize(
    "password",
    ["5599776677997777224466444466774444115544443399339988001199338800", "@4{([<6913!1|705$2%z" * 4, "9876543210" * 7],
    ids=["digits", "symbols", "repeated"],
)
def test_a_score_costs_less_than_three_hashes(password: str) -> None:
    def score() -> None:
        with suppress(ApiError):
            check(password)

    assert costs_less(score, 3)


@pytest.mark.parametrize("password", EXPENSIVE[:2])
def test_the_most_expensive_password_costs_less_than_six_hashes(password: str) -> None:
    """The worst that are known take four, and only users and holders of a reset token can send them."""

    def score() -> None:
        with suppress(ApiError):
            check(password)

    assert costs_less(score, 6)


def test_the_openapi_document_is_made_once(api: Api) -> None:
    first = api.call("GET", "/openapi.json").body
    assert costs_less(lambda: api.call("GET", "/openapi.json").ok(), 1 / 8)
    assert api.call("GET", "/openapi.json").body == first
