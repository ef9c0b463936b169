"""What a request of a client that is not logged in costs: its processor time, beside that of one password hash."""

import base64
import math
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from auth.core.errors import ApiError
from auth.core.limits import COOKIE_CHARACTERS
from auth.core.password_rules import check
from auth.core.passwords import hash_password

from .support.api import Api
from .support.world import ORIGIN, PASSWORD

FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data; boundary=f"
PART = b'--f\r\nContent-Disposition: form-data; name="a"'
END = b"\r\n--f--"
SIZES = {16 * 1024: 400, 64 * 1024: 400, 2 * 1024 * 1024: 413}  # the limits of part headers, a login and any body
LEAST_ROUNDS, MOST_ROUNDS = 3, 30
LINE = 32 * 1024  # the limit for a header line in gunicorn.conf.py; gunicorn joins those of one name
JOINED = 25 * LINE


def nested(first: str, last: str) -> str:
    """A token as long as a header line, whose own header is JSON that is nested as deep as possible."""
    times = LINE * 3 // 4 // len(first + last) - 8
    header = base64.urlsafe_b64encode((first * times + last * times).encode()).decode().rstrip("=")
    return f"Bearer {header}.a.a"


def costs_less(work: Callable[[], object], hash_part: float = 1) -> bool:
    """Whether the work takes less processor time than that part of a password hash.

    The two run in turns, as other load on the machine slows both; it only adds, so the least time of each counts.
    """
    least_work = least_hash = math.inf
    for number in range(1, MOST_ROUNDS + 1):
        least_work = min(least_work, processor_seconds(work))
        least_hash = min(least_hash, processor_seconds(lambda: hash_password(PASSWORD)))
        if number >= LEAST_ROUNDS and least_work < least_hash * hash_part:
            return True
    return False


def processor_seconds(work: Callable[[], object]) -> float:
    """The processor time of this thread in one run."""
    started = time.thread_time()
    work()
    return time.thread_time() - started


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


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", BODIES)
def test_a_login_body_costs_less_than_a_hash(api: Api, kind: str, size: int) -> None:
    content_type, start, repeated, end = BODIES[kind]
    body = filled(start, repeated, end, size)

    def log_in() -> None:
        answer = api.call("POST", "/auth/login", data=body, Content_Type=content_type)
        answer.refused(SIZES[size])

    assert costs_less(log_in)


@pytest.mark.parametrize("cookie", ["a=b;", ";", "=;", 'a="\\101";'])
@pytest.mark.parametrize("characters", [COOKIE_CHARACTERS, JOINED])
def test_many_cookies_cost_less_than_a_hash(api: Api, cookie: str, characters: int) -> None:
    cookies = cookie * (characters // len(cookie))

    def refresh() -> None:
        api.call("POST", "/auth/refresh/web", Cookie=cookies, Origin=ORIGIN, X_CSRFToken="x").refused(400)

    assert costs_less(refresh)


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("GET", "/livez", {"Accept": "a/b;q=0.1," * (JOINED // 10)}),
        ("GET", "/auth/sessions", {"Authorization": "Bearer " + "a" * JOINED}),
        ("GET", "/auth/sessions", {"Authorization": nested("[", "]")}),
        ("GET", "/auth/sessions", {"Authorization": nested('{"a":', "}")}),
        ("GET", "/auth/sessions", {"Authorization": nested("[1,", "1]")}),
        ("GET", "/auth/sessions", {"Origin": "https://a:" + "9" * LINE}),
        ("GET", "/auth/sessions?" + "a=%41&" * 1300, {}),
        ("POST", "/auth/login", {"Content_Type": "a/b" + ";a=b" * (LINE // 4)}),
        ("POST", "/auth/refresh", {"X_Forwarded_For": "1," * (JOINED // 2)}),
        ("GET", "/" + "%c3%a9" * 1300, {}),
    ],
    ids=[
        "Accept",
        "Authorization",
        "lists",
        "objects",
        "numbers",
        "Origin",
        "query",
        "Content-Type",
        "X-Forwarded-For",
        "path",
    ],
)
def test_large_headers_cost_less_than_a_hash(api: Api, method: str, path: str, headers: dict[str, Any]) -> None:
    assert costs_less(lambda: api.call(method, path, **headers))


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
