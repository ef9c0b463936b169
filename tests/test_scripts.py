"""createPersonalToken: a refresh token that a person makes for their own scripts."""

import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from flask import Flask as App

from auth.cli.common import DirectDatabase
from auth.config import Config
from auth.core.models import Role
from auth.core.refresh_tokens import digest
from auth.rpcs import scripts

from .support.api import Api, any_address, send_to_app
from .support.command_line import CommandLine
from .support.rows import add_delegations, wait_for_lock
from .support.second_factor import Authenticator
from .support.world import PASSWORD, Stored, World, claims

DAY_MS = 24 * 60 * 60 * 1000
NEW_PASSWORD = "an altogether different phrase"


def made(api: Api, owner: Stored, *scopes: str, **others: Any) -> dict[str, Any]:
    answer: dict[str, Any] = api.create_personal_token(owner.access_token, *(scopes or ["files:read"]), **others).ok()
    return answer


def test_a_script_gets_access_tokens_with_these_scopes(api: Api, world: World) -> None:
    owner = world.session()
    token = made(api, owner, "files.list:READ", "jobs:write:id!MQ==")
    assert set(token) == {"id", "token", "scopes", "expiresAt"}
    assert re.fullmatch("uap_[A-Za-z0-9_-]{43}", token["token"])
    assert token["scopes"] == ["files.list:read", "jobs:write:id!MQ=="]
    assert 0 <= time.time() * 1000 + 30 * DAY_MS - token["expiresAt"] < 60_000
    by_door = api.token("refresh_token", refresh_token=token["token"]).ok()["access_token"]
    for access_token in (api.refresh(token["token"]).ok()["accessToken"], by_door):
        payload = claims(access_token)
        assert (payload["sub"], payload["aud"], payload["exp"] - payload["iat"]) == (owner.id, token["scopes"], 600)
        assert (payload["extendedBy"], payload["extendedByChain"]) == (owner.id, [owner.id])
        assert payload["publicSessionReference"] == token["id"]
        assert not {"act", "amr", "auth_time"} & payload.keys()
        assert api.verify(access_token, "files.list.more:read").status == 200


def test_only_its_hash_is_stored(api: Api, world: World, database_url: str) -> None:
    token = made(api, world.session())["token"]
    with psycopg.connect(database_url) as connection:
        rows = connection.execute("SELECT title FROM refresh_token WHERE token_hash = %s", [digest(token)]).fetchall()
        text = str(connection.execute("SELECT * FROM refresh_token").fetchall())
    assert rows == [("a script",)]
    assert token not in text


def test_its_owner_sees_and_ends_it(api: Api, world: World) -> None:
    owner, service = world.session(), world.service("files:read")
    token = made(api, owner, title="Nightly backup \u2603")
    api.extend(service.access_token, owner.access_token, "files:read", refreshes=True).ok()
    delegation, own = api.delegations(owner.access_token).ok()["items"]
    assert (delegation["extendedBy"], delegation["title"]) == (service.id, None)
    assert own == {
        "id": token["id"],
        "extendedBy": owner.id,
        "extendedByChain": [owner.id],
        "scopes": ["files:read"],
        "createdAt": own["createdAt"],
        "lastUsedAt": None,
        "expiresAt": token["expiresAt"],
        "title": "Nightly backup \u2603",
    }
    access_token = api.refresh(token["token"]).ok()["accessToken"]
    assert api.delegations(owner.access_token).ok()["items"][1]["lastUsedAt"] is not None
    api.invalidate_delegation(owner.access_token, token["id"]).ok()
    assert api.refresh(token["token"]).status == 401
    assert api.verify(access_token).status == 401


@pytest.mark.parametrize(("days", "lasts"), [({}, 30), ({"days": 1}, 1), ({"days": 366}, 366)])
def test_it_expires(api: Api, world: World, database_url: str, days: dict[str, int], lasts: int) -> None:
    token = made(api, world.session(), **days)
    assert 0 <= time.time() * 1000 + lasts * DAY_MS - token["expiresAt"] < 60_000
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "UPDATE refresh_token SET expires_at = now() WHERE public_session_reference = %s", [token["id"]]
        )
    assert api.refresh(token["token"]).status == 401


@pytest.mark.parametrize(
    ("body", "status", "error_code"),
    [
        ({"title": ""}, 400, "INVALID_REQUEST"),
        ({"title": "x" * 101}, 400, "INVALID_REQUEST"),
        ({"title": "a\0b"}, 400, "INVALID_REQUEST"),
        ({"title": 1}, 400, "INVALID_REQUEST"),
        ({"scopes": []}, 400, "INVALID_REQUEST"),
        ({"scopes": "files:read"}, 400, "INVALID_REQUEST"),
        ({"scopes": ["files"]}, 400, "MALFORMED_SCOPE"),
        ({"scopes": ["files:read", "all:read"]}, 401, "SCOPE_NOT_FOR_SCRIPTS"),
        ({"scopes": ["api"]}, 401, "SCOPE_NOT_FOR_SCRIPTS"),
        ({"scopes": ["special:read"]}, 401, "SCOPE_NOT_FOR_SCRIPTS"),
        ({"scopes": ["auth.createPersonalToken:write"]}, 401, "SCOPE_NOT_FOR_SCRIPTS"),
        ({"scopes": ["auth:read"]}, 401, "SCOPE_NOT_FOR_SCRIPTS"),
        ({"days": 0}, 400, "INVALID_REQUEST"),
        ({"days": 367}, 400, "INVALID_REQUEST"),
        ({"days": 1.5}, 400, "INVALID_REQUEST"),
    ],
)
def test_a_refused_request_stores_no_token(
    api: Api, world: World, body: dict[str, Any], status: int, error_code: str
) -> None:  # fmt: skip
    owner = world.session()
    body = {"title": "x" * 100, "scopes": ["files:read"], "days": 30} | body
    api.call("POST", "/auth/tokens", owner.access_token, json_body=body).refused(status, error_code)
    assert api.delegations(owner.access_token).ok()["itemsInTotal"] == 0


def test_the_bearer_covers_the_scopes(api: Api, world: World) -> None:
    owner = world.session()
    asked = "auth.createPersonalToken:write files:read"
    narrow = api.token("refresh_token", refresh_token=owner.refresh_token, scope=asked).ok()["access_token"]
    assert api.create_personal_token(narrow, "files.list:read").status == 200
    api.create_personal_token(narrow, "files.list:read", "jobs:read").refused(401, "SCOPE_NOT_COVERED")
    without = api.token("refresh_token", refresh_token=owner.refresh_token, scope="files:read").ok()["access_token"]
    api.create_personal_token(without, "files:read").refused(401, "SCOPE_NOT_COVERED")


def test_only_people_with_a_session_make_them(api: Api, world: World) -> None:
    owner, service = world.session(), world.service("auth:write", "files:read")
    assert api.create_personal_token(world.session(world.user(Role.ADMIN)).access_token, "files:read").status == 200
    api.create_personal_token(service.access_token, "files:read").refused(401, "ROLE_NOT_ALLOWED")
    extended = api.extend(service.access_token, owner.access_token, "auth:write", "files:read").ok()["accessToken"]
    api.create_personal_token(extended, "files:read").refused(403, "SESSION_TOKEN_NEEDED")
    one_time = api.request_one_time_token(owner.access_token, "auth:write,files:read").ok()["accessToken"]
    api.create_personal_token(one_time, "files:read").refused(401, "INVALID_TOKEN")


def test_a_person_who_must_add_a_factor_first_makes_none(
    config: Config, deploy: Callable[[Config], App], world: World
) -> None:
    required = replace(config, second_factor_required=frozenset({Role.USER}))
    api, owner = Api(send_to_app(deploy(required), any_address())), world.session()
    token = api.refresh(owner.refresh_token).ok()["accessToken"]
    for scope in ("files:read", "sla:write"):
        api.create_personal_token(token, scope).refused(401, "SCOPE_NOT_COVERED")


def test_this_service_refuses_its_access_tokens(api: Api, world: World) -> None:
    """No RPC accepts them, and no service can extend them."""
    owner = world.session(world.user(Role.ADMIN))
    service = world.service("files:read", "auth:write", "sla:write")
    token = api.refresh(made(api, owner, "files:write", "sla:write")["token"]).ok()["accessToken"]
    for answer in (api.sessions(token), api.delegations(token), api.create_personal_token(token, "files:read")):
        answer.refused(401, "SCOPE_NOT_COVERED")  # it has no scope of `auth`
    api.find_sla(token).refused(403, "SESSION_TOKEN_NEEDED")
    with_all = world.access_token(owner.id, extended_by=owner.id)  # as if it could have the scopes
    for answer in (
        *(api.sessions(with_all), api.delegations(with_all), api.create_personal_token(with_all, "a:read")),
        *(api.invalidate_sessions(with_all), api.invalidate_delegations(with_all), api.create_credentials(with_all)),
        api.change_password(with_all, PASSWORD, NEW_PASSWORD),
    ):
        answer.refused(403, "SESSION_TOKEN_NEEDED")
    for refreshes in (False, True):
        for bearer in (token, with_all):
            api.extend(service.access_token, bearer, "files:read", refreshes=refreshes).refused(401, "INVALID_TOKEN")
    api.extend(with_all, owner.access_token, "files:read").refused(401, "INVALID_TOKEN")
    found = api.introspect(service.client, token).ok()
    assert (found["active"], found["client_id"], found.get("act")) == (True, owner.id, None)


def test_no_policy_narrows_it(api: Api, world: World) -> None:
    owner = world.session()
    token = made(api, owner, "files:write", "jobs:read")["token"]
    assert claims(api.refresh(token).ok()["accessToken"])["aud"] == ["files:write", "jobs:read"]


ENDINGS = ["changePassword", "resetPassword", "set-password", "disable", "invalidateDelegations", "logout of itself",
           "bulkInvalidate", "sessions end", "delete"]  # fmt: skip


@pytest.mark.parametrize("ending", ENDINGS)
def test_these_calls_end_it(api: Api, world: World, flask: CommandLine, ending: str) -> None:
    owner = world.session()
    token = made(api, owner)["token"]
    access_token = api.refresh(token).ok()["accessToken"]
    reset = "" if ending != "resetPassword" else flask.json("users", "reset-password", owner.id)["resetToken"]
    stdin = ("--password-stdin",)
    calls: dict[str, Callable[[], object]] = {
        "changePassword": lambda: api.change_password(owner.access_token, PASSWORD, NEW_PASSWORD).ok(),
        "resetPassword": lambda: api.reset_password(reset, NEW_PASSWORD).ok(),
        "set-password": lambda: flask.json("users", "set-password", owner.id, *stdin, stdin=NEW_PASSWORD),
        "disable": lambda: flask.json("users", "disable", owner.id),
        "invalidateDelegations": lambda: api.invalidate_delegations(owner.access_token).ok(),
        "bulkInvalidate": lambda: api.bulk_invalidate(world.service().access_token, [token]).ok(),
        "sessions end": lambda: flask.json("sessions", "end", owner.id, "--delegations"),
        "delete": lambda: flask.json("users", "delete", owner.id),
        "logout of itself": lambda: api.logout(token).ok(),
    }
    calls[ending]()
    assert api.refresh(token).status == 401
    assert api.verify(access_token).status == 401


def test_ended_sessions_and_a_new_factor_do_not_end_it(api: Api, world: World) -> None:
    """The end of the session that made it, of all sessions, and a new second factor."""
    owner = world.session()
    other = world.session(owner.id)
    token = made(api, owner)["token"]
    api.logout(owner.refresh_token).ok()
    setup = api.create_credentials(other.access_token).ok()
    api.answer_challenge(setup["challengeId"], Authenticator(setup["secret"]).code(), other.access_token).ok()
    api.invalidate_sessions(other.access_token).ok()
    assert api.refresh(token).status == 200


def test_a_person_has_at_most_a_hundred(api: Api, world: World, database_url: str) -> None:
    """Delegations to services do not count, nor do tokens that have expired."""
    owner, service = world.session(), world.service("files:read")
    add_delegations(database_url, owner.id, service.id, 3)
    add_delegations(database_url, owner.id, owner.id, 3, expires_in="-1 s")
    add_delegations(database_url, owner.id, owner.id, scripts.TOKENS - 1)
    last = made(api, owner)
    api.create_personal_token(owner.access_token, "files:read").refused(400, "TOO_MANY_TOKENS")
    api.invalidate_delegation(owner.access_token, last["id"]).ok()
    made(api, owner)


def test_parallel_calls_stop_at_a_hundred_too(api: Api, world: World, database_url: str) -> None:
    owner = world.session()
    add_delegations(database_url, owner.id, owner.id, scripts.TOKENS - 2)
    with ThreadPoolExecutor(16) as pool:
        answers = [pool.submit(api.create_personal_token, owner.access_token, "files:read") for _ in range(16)]
    assert sorted(answer.result().status for answer in answers) == [200, 200, *[400] * 14]


@pytest.mark.parametrize("ending", ["set-password", "disable", "logout"])
def test_none_is_stored_after_its_session_has_ended(
    api: Api, world: World, database_url: str, ending: str
) -> None:  # fmt: skip
    """A call that has read the session before it ended, and waits for the ending's commit, is refused."""
    owner, direct = world.session(), DirectDatabase(database_url)
    with ThreadPoolExecutor(1) as pool:
        with direct.transaction() as transaction:
            if ending == "set-password":
                transaction.one("principal_set_password", id=owner.id, password_hash="x")
                transaction.run("principal_end_tokens", id=owner.id)
            elif ending == "disable":
                transaction.one("principal_disable", id=owner.id)
            else:
                transaction.one("refresh_token_delete", token_hash=digest(owner.refresh_token))
            making = pool.submit(api.create_personal_token, owner.access_token, "files:read")
            wait_for_lock(database_url)
        making.result().refused(401, "INVALID_TOKEN")
    with psycopg.connect(database_url) as connection:
        query = "SELECT count(*) FROM refresh_token WHERE principal_id = %s AND extended_by IS NOT NULL"
        assert connection.execute(query, [owner.id]).fetchone() == (0,)
