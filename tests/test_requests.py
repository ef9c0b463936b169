"""Bad requests of every kind: a clear 4xx with a stable code, and no effect."""

import io
import json
import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Literal

import pytest
from flask import Blueprint, Flask

from auth.core import refresh_tokens
from auth.core.claims import Bearer
from auth.core.errors import InvalidRequest
from auth.core.limits import (
    BODY_BYTES,
    BULK_BODY_BYTES,
    ID_CHARACTERS,
    MODEL_BODY_BYTES,
    PASSWORD_BYTES,
    SCOPES_BYTES,
    TOKEN_CHARACTERS,
)
from auth.core.models import PageRequest, Role
from auth.http.request import Request
from auth.http.rpc import PRIVILEGED, PUBLIC, RPCS, Rpc

from .support.api import Answer, Api
from .support.world import World


@pytest.mark.parametrize(
    ("method", "path", "status", "error_code"),
    [
        ("GET", "/", 404, "NOT_FOUND"),
        ("GET", "/auth", 404, "NOT_FOUND"),
        ("POST", "/auth/login/", 404, "NOT_FOUND"),
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
        (b"[" * 10_000, "application/json", 400),
        (b'{"tokens": ["\xff"]}', "application/json", 400),
        (b'{"tokens": ["\\ud800"]}', "application/json", 400),
        (b'{"tokens": [], "validJWT": NaN}', "application/json", 400),
        ('{"tokens": []}'.encode("utf-16"), "application/json; charset=utf-16", 400),
        (b"\xef\xbb\xbf{}", "application/json", 400),
        (b"{}", "text/plain", 415),
        (b"{}", "application/x-www-form-urlencoded", 415),
        (b"{}", "application/problem+json", 415),
        (b"{}", None, 400),
        (b" " * (BULK_BODY_BYTES + 1), "application/json", 413),
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
    answer = api.call(method, path, data=b"{" * (BULK_BODY_BYTES + 1), Content_Type="text/plain").refused(
        401, "INVALID_TOKEN"
    )
    assert answer.header("WWW-Authenticate") == "Bearer"


WITH_A_BODY = {
    "passwordLogin": MODEL_BODY_BYTES,
    "bulkInvalidate": BULK_BODY_BYTES,
    "tokenExtension": MODEL_BODY_BYTES,
    "changePassword": MODEL_BODY_BYTES,
    "resetPassword": MODEL_BODY_BYTES,
    "twofactor.answerChallenge": MODEL_BODY_BYTES,
    "twofactor.removeCredentials": MODEL_BODY_BYTES,
    "sla.accept": MODEL_BODY_BYTES,
    "createPersonalToken": MODEL_BODY_BYTES,
    "oauth.token": MODEL_BODY_BYTES,
    "oauth.introspect": MODEL_BODY_BYTES,
    "oauth.revoke": MODEL_BODY_BYTES,
}


@pytest.mark.parametrize("announced", [True, False])
@pytest.mark.parametrize("name", RPCS)
def test_a_body_over_the_limit_of_its_call_is_413(app: Flask, world: World, name: str, announced: bool) -> None:
    """A call that takes no body has a limit too; nothing beyond it is read."""
    call, limit = RPCS[name], WITH_A_BODY.get(name, BODY_BYTES)
    caller = world.service() if Role.SERVICE in call.roles else world.session()
    for size in (limit, limit + 1, BULK_BODY_BYTES + 2**20):
        body = io.BytesIO(b" " * size)
        environ: dict[str, Any] = {
            "wsgi.input": body,
            "wsgi.input_terminated": True,
            "CONTENT_TYPE": "application/json",
            "HTTP_AUTHORIZATION": f"Bearer {caller.access_token}",
        }
        environ |= {"CONTENT_LENGTH": str(size)} if announced else {"HTTP_TRANSFER_ENCODING": "chunked"}
        path = re.sub("<.*>", "x", call.path)
        response = app.test_client().open(path, method=call.method, environ_overrides=environ)
        assert (response.status_code == 413) is (size > limit), (size, response.get_json())
        assert body.tell() <= limit + 1
        if size > limit:
            error = response.get_json()
            assert error["errorCode"] == "BODY_TOO_LARGE"
            assert f"{limit:,} bytes" in error["why"]


def longest_token(world: World, user_id: str) -> str:
    """An access token with as many scopes as it has room for."""
    scopes = [f"{number:016}:read" for number in range(2000)]
    while scopes:
        with suppress(InvalidRequest):
            return world.access_token(user_id, scopes=["all:write", *scopes])
        del scopes[-5:]
    raise AssertionError("no scope fits")


def test_each_call_takes_the_longest_body_that_it_should(api: Api, world: World) -> None:
    """Every byte of the passwords is escaped, and 10,000 tokens are written with indentation."""
    person, service = world.session(), world.service("files:write")

    def escaped(text: str) -> str:
        return '"' + "".join(f"\\u{ord(character):04x}" for character in text) + '"'

    def call(path: str, bearer: str | None, body: str) -> Answer:
        return api.call("POST", path, bearer, data=body.encode(), Content_Type="application/json")

    longest = escaped("x" * PASSWORD_BYTES)
    change = f'{{"currentPassword": {longest}, "newPassword": {longest}}}'
    call("/auth/password", person.access_token, change).refused(400, "PASSWORD_TOO_EASY")
    reset = f'{{"resetToken": {escaped("x" * 43)}, "newPassword": {longest}}}'
    assert call("/auth/password/reset", None, reset).status in (400, 401)
    name, login_service = escaped("x" * ID_CHARACTERS), escaped(world.login_service())
    form = f'{{"username": {name}, "password": {longest}, "service": {login_service}}}'
    call("/auth/login", None, form).refused(401, "INCORRECT_CREDENTIALS")
    tokens = json.dumps({"tokens": [refresh_tokens.generate() for _ in range(10_000)]}, indent=4)
    assert call("/auth/logout/bulk", service.access_token, tokens).ok() == {}
    long = longest_token(world, person.id)
    assert TOKEN_CHARACTERS - 500 < len(long) <= TOKEN_CHARACTERS
    asked = [f"files.{n:08}:read" for n in range(SCOPES_BYTES // 19 - 2)]
    request = {"validJWT": long, "requestedScopes": asked, "expiresIn": 60_000, "allowRefreshes": True}
    assert call("/auth/extend", service.access_token, json.dumps(request, indent=4)).ok()


def test_an_internal_error_reveals_nothing(app: Flask, api: Api, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from auth.core.tokens import AccessTokens

    def fail(*_: object) -> str:
        raise RuntimeError("secret detail")

    session = world.session()
    monkeypatch.setattr(AccessTokens, "mint", fail)
    answer = api.refresh(session.refresh_token).refused(500, "INTERNAL_ERROR")
    assert b"secret" not in answer.body
    assert answer.header("Cache-Control") == "no-store, private"


def misspelt(request: Request, querry: PageRequest) -> None:
    raise AssertionError


def without_its_bearer(request: Request) -> None:
    raise AssertionError


def without_its_variable(request: Request, bearer: Bearer) -> None:
    raise AssertionError


@pytest.mark.parametrize("handler", [misspelt, without_its_bearer, without_its_variable])
def test_a_handler_whose_parameters_nothing_fills_cannot_be_declared(handler: Callable[..., None]) -> None:
    roles: frozenset[Role] | Literal["public"] = PUBLIC if handler is misspelt else PRIVILEGED
    path = "/new/<name>" if handler is without_its_variable else "/new"
    with pytest.raises(TypeError, match="new cannot get the parameters"):
        Rpc(Blueprint("new", __name__), "new", f"GET {path}", roles)(handler)
    assert "new" not in RPCS
