"""What a request of a client that is not logged in costs: its processor time, beside that of one password hash."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from auth.core.passwords import hash_password

from .api import Api
from .world import ORIGIN, PASSWORD

FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data; boundary=f"
PART = b'--f\r\nContent-Disposition: form-data; name="a"'
END = b"\r\n--f--"
LOGIN_BODY = 64 * 1024
BODY = 2 * 1024 * 1024
LINE = 8190  # gunicorn's limit for a header; it joins up to 100 of one name


def processor_seconds(work: Callable[[], object]) -> float:
    """The least processor time of this thread over three runs: other load on the machine only adds to it."""
    seconds = []
    for _ in range(3):
        started = time.thread_time()
        work()
        seconds.append(time.thread_time() - started)
    return min(seconds)


@pytest.fixture(scope="module")
def hash_seconds() -> float:
    """The processor time of one password hash."""
    return processor_seconds(lambda: hash_password(PASSWORD))


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


@pytest.mark.parametrize("size", [LOGIN_BODY, BODY])
@pytest.mark.parametrize("kind", BODIES)
def test_a_login_body_costs_less_than_a_hash(api: Api, hash_seconds: float, kind: str, size: int) -> None:
    content_type, start, repeated, end = BODIES[kind]
    body = filled(start, repeated, end, size)

    def log_in() -> None:
        answer = api.call("POST", "/auth/login", data=body, Content_Type=content_type)
        answer.refused(400 if size == LOGIN_BODY else 413)

    assert processor_seconds(log_in) < hash_seconds


@pytest.mark.parametrize("cookie", ["a=b;", ";", "=;", 'a="\\101";'])
@pytest.mark.parametrize("lines", [1, 99])
def test_many_cookies_cost_less_than_a_hash(api: Api, hash_seconds: float, cookie: str, lines: int) -> None:
    cookies = ",".join([cookie * (LINE // len(cookie))] * lines)

    def refresh() -> None:
        api.call("POST", "/auth/refresh/web", Cookie=cookies, Origin=ORIGIN, X_CSRFToken="x").refused(400)

    assert processor_seconds(refresh) < hash_seconds


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("GET", "/livez", {"Accept": "a/b;q=0.1," * (LINE * 99 // 10)}),
        ("GET", "/auth/sessions", {"Authorization": "Bearer " + "a" * LINE * 99}),
        ("GET", "/auth/sessions", {"Origin": "https://a:" + "9" * LINE}),
        ("GET", "/auth/sessions?" + "a=%41&" * 1300, {}),
        ("POST", "/auth/login", {"Content_Type": "a/b" + ";a=b" * (LINE // 4)}),
        ("POST", "/auth/refresh", {"X_Forwarded_For": "1," * (LINE * 99 // 2)}),
        ("GET", "/" + "%c3%a9" * 1300, {}),
    ],
    ids=["Accept", "Authorization", "Origin", "query", "Content-Type", "X-Forwarded-For", "path"],
)
def test_large_headers_cost_less_than_a_hash(
    api: Api, hash_seconds: float, method: str, path: str, headers: dict[str, Any]
) -> None:
    assert processor_seconds(lambda: api.call(method, path, **headers)) < hash_seconds


def test_the_openapi_document_is_made_once(api: Api, hash_seconds: float) -> None:
    first = api.call("GET", "/openapi.json").body
    assert processor_seconds(lambda: api.call("GET", "/openapi.json").ok()) < hash_seconds / 8
    assert api.call("GET", "/openapi.json").body == first
