"""Bad requests of every kind: a clear 4xx with a stable code, and no effect."""

import io
from typing import Any

import pytest
from flask import Flask

from auth.core.limits import BODY_BYTES

from .support.api import Api
from .support.world import World


@pytest.mark.parametrize(
    ("method", "path", "status", "error_code"),
    [
        ("GET", "/", 404, "NOT_FOUND"),
        ("GET", "/auth", 404, "NOT_FOUND"),
        ("POST", "/auth/login/", 404, "NOT_FOUND"),
        ("POST", "//auth/login", 404, "NOT_FOUND"),
        ("POST", "/auth//login", 404, "NOT_FOUND"),
        ("POST", "/auth/%00", 404, "NOT_FOUND"),
        ("POST", "/auth/%ff", 404, "NOT_FOUND"),
        ("POST", "/AUTH/login", 404, "NOT_FOUND"),
        ("GET", "/static/x", 404, "NOT_FOUND"),
        ("GET", "/auth/login", 405, "METHOD_NOT_ALLOWED"),
        ("GET", "/auth/refresh", 405, "METHOD_NOT_ALLOWED"),
        ("PUT", "/auth/logout", 405, "METHOD_NOT_ALLOWED"),
        ("PATCH", "/auth/sessions", 405, "METHOD_NOT_ALLOWED"),
        ("DELETE", "/auth/claim", 405, "METHOD_NOT_ALLOWED"),
        ("POST", "/.well-known/jwks.json", 405, "METHOD_NOT_ALLOWED"),
    ],
)
def test_unknown_paths_and_methods(api: Api, method: str, path: str, status: int, error_code: str) -> None:
    answer = api.call(method, path).refused(status, error_code)
    assert (answer.header("Allow") is not None) is (status == 405)
    if path.startswith("/auth"):
        assert answer.header("Cache-Control") == "no-store, private"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/auth/login"),
        ("POST", "/auth/refresh"),
        ("GET", "/auth/sessions"),
        ("OPTIONS", "/auth/refresh"),
        ("GET", "/auth/login"),
        ("GET", "/nothing"),
        ("GET", "/livez"),
        ("GET", "/readyz"),
        ("GET", "/metrics"),
        ("GET", "/openapi.json"),
        ("GET", "/.well-known/jwks.json"),
    ],
)
def test_no_answer_may_be_taken_for_another_media_type(api: Api, method: str, path: str) -> None:
    assert api.call(method, path).header("X-Content-Type-Options") == "nosniff"


JSON_RPCS = ["/auth/logout/bulk", "/auth/extend", "/auth/password"]


@pytest.mark.parametrize("path", JSON_RPCS)
@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"", "application/json", 400),
        (b"{", "application/json", 400),
        (b"null", "application/json", 400),
        (b"[]", "application/json", 400),
        (b"[" * 100_000, "application/json", 400),
        (b'{"tokens": ["\xff"]}', "application/json", 400),
        (b'{"tokens": ["\\ud800"]}', "application/json", 400),
        (b'{"tokens": [], "validJWT": NaN}', "application/json", 400),
        ('{"tokens": []}'.encode("utf-16"), "application/json; charset=utf-16", 400),
        (b"\xef\xbb\xbf{}", "application/json", 400),
        (b"{}", "text/plain", 415),
        (b"{}", "application/x-www-form-urlencoded", 415),
        (b"{}", "application/problem+json", 415),
        (b"{}", None, 400),
        (b" " * (BODY_BYTES + 1), "application/json", 413),
    ],
    ids=lambda value: str(value)[:30],
)
def test_bad_json(api: Api, world: World, path: str, body: bytes, content_type: str | None, status: int) -> None:
    caller = world.session() if path == "/auth/password" else world.service()
    answer = api.call("POST", path, caller.access_token, data=body, Content_Type=content_type)
    answer.refused(status)
    assert "codec" not in answer.json["why"]
    assert "Expected" not in answer.json["why"]


def test_json_needs_no_media_type(api: Api, world: World) -> None:
    bearer = world.service().access_token
    for content_type in (None, "application/json", "Application/JSON; charset=utf-8"):
        answer = api.call("POST", "/auth/logout/bulk", bearer, data=b'{"tokens": []}', Content_Type=content_type)
        assert answer.status == 200


@pytest.mark.parametrize("path", [*JSON_RPCS, "/auth/claim?jti=", "/auth/request?audience=", "/auth/sessions?page=x"])
def test_the_bearer_is_looked_at_first(api: Api, path: str) -> None:
    method = "GET" if "sessions" in path else "POST"
    answer = api.call(method, path, data=b"{" * (BODY_BYTES + 1), Content_Type="text/plain").refused(
        401, "INVALID_TOKEN"
    )
    assert answer.header("WWW-Authenticate") == "Bearer"


LIMITS = {
    "/auth/login": 64 * 1024,
    "/auth/refresh": BODY_BYTES,
    "/auth/logout": BODY_BYTES,
    "/auth/refresh/web": BODY_BYTES,
    "/auth/logout/web": BODY_BYTES,
}


@pytest.mark.parametrize("announced", [True, False])
@pytest.mark.parametrize("path", LIMITS)
def test_a_body_over_the_limit_is_413(app: Flask, path: str, announced: bool) -> None:
    for size in (LIMITS[path], LIMITS[path] + 1):
        environ: dict[str, Any] = {
            "wsgi.input": io.BytesIO(b" " * size),
            "wsgi.input_terminated": True,
            "CONTENT_TYPE": "application/json",
        }
        environ |= {"CONTENT_LENGTH": str(size)} if announced else {"HTTP_TRANSFER_ENCODING": "chunked"}
        response = app.test_client().open(path, method="POST", environ_overrides=environ)
        assert (response.status_code == 413) is (size > LIMITS[path])
        assert (response.get_json()["errorCode"] == "BODY_TOO_LARGE") is (size > LIMITS[path])


def test_an_internal_error_reveals_nothing(app: Flask, api: Api, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from auth.core.tokens import AccessTokens

    def fail(*_: object) -> str:
        raise RuntimeError("secret detail")

    session = world.session()
    monkeypatch.setattr(AccessTokens, "mint", fail)
    answer = api.refresh(session.refresh_token).refused(500, "INTERNAL_ERROR")
    assert b"secret" not in answer.body
    assert answer.header("Cache-Control") == "no-store, private"
