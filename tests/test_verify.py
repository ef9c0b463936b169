"""GET /auth/verify: a gateway asks whether it may let a request pass."""

import secrets
from urllib.parse import unquote

import pytest

from auth.core.models import Role

from .support.api import Answer, Api
from .support.world import Stored, World

HEADERS = ("X-Auth-Principal", "X-Auth-Role", "X-Auth-Scopes", "X-Auth-Chain")


def headers(answer: Answer) -> tuple[str | None, ...]:
    assert answer.ok() == {}
    return tuple(answer.header(name) for name in HEADERS)


def refused(answer: Answer, error_code: str, error: str = "invalid_token") -> None:
    answer.refused(401, error_code)
    assert answer.header("WWW-Authenticate") == "Bearer"
    assert answer.json["error"] == error
    assert [answer.header(name) for name in HEADERS] == [None] * 4


def extended(api: Api, user: Stored, *services: Stored) -> str:
    token = user.access_token
    for service in services:
        token = api.extend(service.access_token, token, "files:read").ok()["accessToken"]
    return token


def test_the_headers_name_the_bearer(api: Api, world: World) -> None:
    user, admin, service = world.session(), world.session(world.user(Role.ADMIN)), world.service("files:read")
    other = world.service("files:read")
    assert headers(api.verify(user.access_token)) == (user.id, "USER", "all:write", "")
    assert headers(api.verify(admin.access_token)) == (admin.id, "ADMIN", "all:write", "")
    assert headers(api.verify(service.access_token)) == (service.id, "SERVICE", "all:write", "")
    two = world.access_token(user.id, scopes=["files.list:read", "jobs:write:id!MQ=="])
    assert headers(api.verify(two)) == (user.id, "USER", "files.list:read jobs:write:id!MQ==", "")
    token = extended(api, user, service, other)
    assert headers(api.verify(token)) == (user.id, "USER", "files:read", f"{service.id},{other.id}")


def test_a_scope_is_asked_for(api: Api, world: World) -> None:
    user = world.user()
    token = world.access_token(user, scopes=["files.list:read", "jobs:write"])
    for scope in ("files.list:read", "files.list.more:read", "jobs:read", "jobs.start:write", ""):
        assert api.verify(token, scope).status == 200
    for scope in ("files.list:write", "files:read", "special:read", "all:write"):
        refused(api.verify(token, scope), "SCOPE_NOT_COVERED")
    assert api.call("GET", "/auth/verify?scope=jobs:read&scope=files:write", token).status == 200
    answer = api.verify(token, "files").refused(400, "MALFORMED_SCOPE")  # a mistake of the gateway
    assert answer.json["error"] == "invalid_scope"


def test_only_live_access_tokens_pass(api: Api, world: World) -> None:
    user, ended = world.session(), world.session()
    one_time = api.request_one_time_token(user.access_token, "files:read").ok()["accessToken"]
    api.logout(ended.refresh_token).ok()
    unknown_role = world.tokens.mint({**world.principal(user.id), "role": "AUDITOR"}, ["all:write"], 600_000)
    for token in (None, "", "x", user.refresh_token, ended.access_token, one_time, unknown_role):
        refused(api.verify(token), "INVALID_TOKEN")
        refused(api.verify(token, "files:read"), "INVALID_TOKEN")


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_a_gateway_may_ask_by_any_method(api: Api, world: World, method: str) -> None:
    """Some ask with the method of the request that they check. Without a token, each method is 401."""
    user, path = world.session(), "/auth/verify?scope=files:read"
    answer = api.call(method, path, user.access_token)
    assert (answer.status, answer.header("X-Auth-Principal")) == (200, user.id)
    for token in (None, "x", user.refresh_token):
        assert api.call(method, path, token).status == 401


@pytest.mark.parametrize("text", ["a b", "Å", "\U0001f600", "a%20b", 'a"b\\c', "50%,x", "a,b"])
def test_ids_have_one_spelling_in_visible_ascii(api: Api, world: World, text: str) -> None:
    """`a b` and `a%20b` must not look alike, and a comma separates the services of a chain."""
    name = f"{text}-{secrets.token_hex(4)}"
    user, service = world.session(world.user(named=name)), world.service("files:read", named=f"_{name}")
    principal, _, _, chain = headers(api.verify(extended(api, user, service)))
    for value, plain in ((principal, name), (chain, f"_{name}")):
        assert value is not None
        assert value.isascii()
        assert value.isprintable()
        assert " " not in value
        assert "," not in value
        assert unquote(value) == plain
