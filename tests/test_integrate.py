"""docs/integrate.md: its code, when copied, works against a server."""

from collections.abc import Iterator
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jwt
import pytest
from authlib.integrations.base_client import OAuthError
from requests import HTTPError

from auth.cli.keys import generate_private_key
from auth.core.keys import Keyring, load_private_key
from auth.core.scopes import Scope
from auth.core.tokens import AccessTokens
from examples.portal import auth_service

from .support.api import Api
from .support.guide import blocks
from .support.node import node
from .support.servers import Server, serving
from .support.world import World

SCOPES = (
    "all:write", "all:read", "files:write", "files:read", "files.list:read", "files.list.deep:write", "jobs:read",
    "special:read", "special.files:write", "files:read:folder!YQ==", "files.list:read:folder!YQ==,name!Yg==",
    "files:write:folder!Yg==",
)  # fmt: skip


@pytest.fixture(scope="module")
def server(environment: dict[str, str]) -> Iterator[Server]:
    with serving(environment) as [server]:
        yield server


@pytest.fixture
def api(server: Server) -> Api:
    return server.client()


@pytest.fixture
def guide(server: Server, world: World, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The names that the Python code defines."""
    monkeypatch.setenv("AUTH", f"http://127.0.0.1:{server.port}")
    service = world.service("files:read")
    monkeypatch.setenv("SERVICE_ID", service.id)
    monkeypatch.setenv("SERVICE_REFRESH_TOKEN", service.refresh_token)
    names: dict[str, Any] = {"__name__": "guide"}
    exec("\n".join(blocks("python")), names)
    return SimpleNamespace(**names)


def refused_tokens(world: World) -> dict[str, str]:
    user = world.user()
    foreign = World(world.db, AccessTokens(Keyring(load_private_key(generate_private_key("ES256"))), "cloud.sdu.dk"))
    other = World(world.db, AccessTokens(world.tokens.keyring, "https://other.example.org"))
    return {
        "garbage": "garbage",
        "another's key": foreign.access_token(user),
        "another issuer": other.access_token(user),
        "expired": world.access_token(user, lifetime_ms=-60_000),
    }


def test_python_verifies_a_token(guide: SimpleNamespace, world: World) -> None:
    session = world.session()
    assert guide.claims_of(session.access_token)["sub"] == session.id
    for name, token in refused_tokens(world).items():
        with pytest.raises(jwt.PyJWTError):
            pytest.fail(f"{name}: {guide.claims_of(token)}")


def test_node_verifies_a_token(server: Server, world: World, tmp_path: Path) -> None:
    [code] = [block for block in blocks("js") if "jose" in block]
    loop = (
        "for (const token of process.argv.slice(2)) console.log(await claimsOf(token).then((c) => c.sub, () => null));"
    )
    session = world.session()
    tokens = [session.access_token, *refused_tokens(world).values()]
    printed = node(tmp_path, code + loop, *tokens, package="jose", AUTH=f"http://127.0.0.1:{server.port}")
    assert printed.split() == [session.id, *["null"] * (len(tokens) - 1)]


def test_scopes_cover_by_the_rule_of_the_service(guide: SimpleNamespace) -> None:
    for held, asked in product(SCOPES, SCOPES):
        expected = Scope.parse(asked).covered_by(Scope.parse(held))
        assert guide.covers(held, asked) == auth_service.covers(held, asked) == expected, (held, asked)


def test_a_one_time_token_is_for_one_use(guide: SimpleNamespace, api: Api, world: World) -> None:
    token = api.request_one_time_token(world.session().access_token, "files:read").json["accessToken"]
    claims = guide.claims_of(token)
    assert not guide.may(claims, "files:read")
    guide.spend(claims, "key-1")
    guide.spend(claims, "key-1")
    with pytest.raises(HTTPError, match="409"):
        guide.spend(claims, "key-2")


def test_a_delegation_acts_until_its_user_ends_it(guide: SimpleNamespace, api: Api, world: World) -> None:
    session = world.session()
    refresh_token = guide.delegation(session.access_token, "files.list:read")
    api.logout(session.refresh_token).ok()
    claims = guide.claims_of(guide.act(refresh_token))
    assert guide.may(claims, "files.list:read")
    assert not guide.may(claims, "files.list:write")
    again = world.session(session.id)
    api.invalidate_delegations(again.access_token).ok()
    with pytest.raises(OAuthError, match="invalid_grant"):
        guide.act(refresh_token)


def test_a_server_asks_whether_a_session_has_ended(guide: SimpleNamespace, api: Api, world: World) -> None:
    session = world.session()
    claims = guide.live_claims(session.access_token)
    assert (claims["sub"], claims["username"]) == (session.id, session.id)
    assert guide.may(claims, "files:read")
    one_time = api.request_one_time_token(session.access_token, "files:read").ok()["accessToken"]
    assert not guide.may(guide.live_claims(one_time), "files:read")
    api.logout(session.refresh_token).ok()
    for name, token in {**refused_tokens(world), "ended": session.access_token}.items():
        assert guide.live_claims(token) is None, name
