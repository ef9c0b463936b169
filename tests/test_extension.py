"""tokenExtension: services act for users, within three limits: the user's scopes, the policy, and never `all`."""

import secrets
import time
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import psycopg
import pytest

from auth.cli.common import DirectDatabase
from auth.core import refresh_tokens
from auth.core.limits import (
    CHAIN_SERVICES,
    DELEGATIONS,
    EXTENDED_REFRESH_TOKEN_DAYS,
    EXTENDED_TOKEN_MAX_MS,
    ID_CHARACTERS,
    NAME_CHARACTERS,
    SCOPE_CHARACTERS,
    SCOPES_BYTES,
    SCOPES_PER_REQUEST,
    TOKEN_CHARACTERS,
)
from auth.core.models import Role

from .support.api import Api, most_of
from .support.locks import holding, waits_for_a_lock
from .support.rows import add_delegations, add_sessions, wait_for_lock
from .support.world import World, claims


def test_a_service_extends_a_users_token(api: Api, world: World) -> None:
    service, user = world.service("files:write"), world.session()
    answer = api.extend(service.access_token, user.access_token, "files.list:READ", expires_in=90_500).ok()
    payload = claims(answer["accessToken"])
    assert (answer["csrfToken"], answer["refreshToken"]) == (None, None)
    assert (payload["sub"], payload["role"], payload["aud"]) == (user.id, "USER", ["files.list:read"])
    assert (payload["extendedBy"], payload["extendedByChain"]) == (service.id, [service.id])
    assert payload["exp"] - payload["iat"] == 91
    assert 0 <= time.time() - payload["iat"] < 30
    assert "publicSessionReference" not in payload
    assert world.db.run("principal_end_tokens", id=user.id) == 1


def test_a_chain_of_three_services(api: Api, world: World) -> None:
    user = world.session()
    services = [world.service("files:write") for _ in range(3)]
    token, chain = user.access_token, []
    for service in services:
        answer = api.extend(service.access_token, token, "files:write", refreshes=True).ok()
        chain.append(service.id)
        for extended in (answer["accessToken"], api.refresh(answer["refreshToken"]).ok()["accessToken"]):
            payload = claims(extended)
            assert (payload["sub"], payload["extendedBy"], payload["extendedByChain"]) == (user.id, service.id, chain)
            assert payload["aud"] == ["files:write"]
        token = answer["accessToken"]


def test_refreshes_keep_scopes_lifetime_and_chain(api: Api, world: World) -> None:
    service, user = world.service("files:write", "jobs:read"), world.session()
    extended = api.extend(
        service.access_token,
        user.access_token,
        "files:read",
        "jobs:read",
        expires_in=EXTENDED_TOKEN_MAX_MS,
        refreshes=True,
    ).ok()
    assert extended["csrfToken"] == refresh_tokens.csrf_token(extended["refreshToken"])
    first, second = claims(extended["accessToken"]), claims(api.refresh(extended["refreshToken"]).ok()["accessToken"])
    for name in ("sub", "aud", "extendedBy", "extendedByChain", "publicSessionReference", "role"):
        assert first[name] == second[name]
    assert second["exp"] - second["iat"] == EXTENDED_TOKEN_MAX_MS // 1000
    assert api.logout(extended["refreshToken"]).ok() == {}


def test_an_extended_refresh_token_expires(api: Api, world: World, database_url: str) -> None:
    service, user = world.service("files:write"), world.session()
    extended = api.extend(service.access_token, user.access_token, "files:read", refreshes=True).ok()
    digest = refresh_tokens.digest(extended["refreshToken"])
    with psycopg.connect(database_url) as connection:
        row = connection.execute(
            "SELECT expires_at - now() FROM refresh_token WHERE token_hash = %s", [digest]
        ).fetchone()
        assert row is not None
        assert EXTENDED_REFRESH_TOKEN_DAYS - 0.1 < row[0].total_seconds() / 86_400 <= EXTENDED_REFRESH_TOKEN_DAYS
        connection.execute("UPDATE refresh_token SET expires_at = now() WHERE token_hash = %s", [digest])
    api.refresh(extended["refreshToken"]).refused(401, "INVALID_TOKEN")


def test_an_extended_token_is_not_a_session(api: Api, world: World) -> None:
    service, user = world.service("files:write"), world.session()
    extended = api.extend(service.access_token, user.access_token, "files:read", refreshes=True).ok()
    assert api.sessions(user.access_token).ok()["itemsInTotal"] == 1
    api.invalidate_sessions(user.access_token).ok()
    api.refresh(user.refresh_token).refused(401)
    assert api.refresh(extended["refreshToken"]).status == 200


def test_without_refreshes_nothing_is_stored(api: Api, world: World) -> None:
    service, user = world.service("files:write"), world.session()
    for refreshes in (False, None):
        extended = api.extend(service.access_token, user.access_token, "files:read", refreshes=refreshes).ok()
        assert extended["refreshToken"] is None
    request = {"validJWT": user.access_token, "requestedScopes": ["files:read"], "expiresIn": 1, "allowRefreshes": None}
    assert api.call("POST", "/auth/extend", service.access_token, json_body=request).ok()["csrfToken"] is None
    assert world.db.run("principal_end_tokens", id=user.id) == 1


def test_an_admin_may_call_but_has_no_policy(api: Api, world: World) -> None:
    admin = world.access_token(world.user(Role.ADMIN))
    api.extend(admin, world.session().access_token, "files:read").refused(401, "SCOPE_NOT_IN_POLICY")


def test_a_user_may_not_call(api: Api, world: World) -> None:
    user = world.session()
    for bearer in (None, user.access_token, "x"):
        answer = api.extend(bearer, user.access_token, "files:read").refused(401)
        assert answer.header("WWW-Authenticate") == "Bearer"


@pytest.mark.parametrize(
    ("jwt", "expires_in", "scopes", "status", "error_code"),
    [
        ("x", 0, [], 401, "INVALID_TOKEN"),
        ("", 0, [], 401, "INVALID_TOKEN"),
        (None, 0, [], 400, "INVALID_EXPIRES_IN"),
        (None, -1, ["special:read"], 400, "INVALID_EXPIRES_IN"),
        (None, EXTENDED_TOKEN_MAX_MS + 1, ["files:read"], 400, "INVALID_EXPIRES_IN"),
        (None, 10**30, ["files:read"], 400, "INVALID_EXPIRES_IN"),
        (None, 1, [], 400, "MALFORMED_SCOPE"),
        (None, 1, ["nope:read", "bad"], 400, "MALFORMED_SCOPE"),
        (None, 1, ["files:read"] * (SCOPES_PER_REQUEST + 1), 400, "INVALID_REQUEST"),
        (None, 1, ["jobs:read"], 401, "SCOPE_NOT_IN_POLICY"),
        (None, 1, ["files:write"], 401, "SCOPE_NOT_IN_POLICY"),
        (None, 1, ["files:read", "jobs:read"], 401, "SCOPE_NOT_IN_POLICY"),
        (None, 1, ["all:read"], 401, "SCOPE_NOT_IN_POLICY"),
        (None, 1, ["special.x:read"], 401, "SCOPE_NOT_EXTENDABLE"),
        (None, 1, ["mail:read"], 401, "SCOPE_NOT_COVERED"),
        (None, 1, ["files:read"], 200, None),
        (None, EXTENDED_TOKEN_MAX_MS, ["files.a:read"], 200, None),
    ],
)
def test_the_checks_come_in_order(
    api: Api, world: World, jwt: str | None, expires_in: int, scopes: list[str], status: int, error_code: str | None
) -> None:
    service = world.service("files:read", "mail:read", "special:read")
    token = world.access_token(world.user(), ["files:write", "jobs:write"]) if jwt is None else jwt
    answer = api.extend(service.access_token, token, *scopes, expires_in=expires_in)
    if status == 200:
        assert answer.ok()["accessToken"]
    else:
        answer.refused(status, error_code)


@pytest.mark.parametrize("scope", ["all:read", "all:write", "all.x:read", "api", "special:write", "special.x:read"])
def test_all_and_special_are_never_extended(api: Api, world: World, scope: str) -> None:
    service = world.service("all:write", "special:write")
    token = world.access_token(world.user(), ["all:write", "special:write"])
    api.extend(service.access_token, token, scope).refused(401, "SCOPE_NOT_EXTENDABLE")


def test_a_disabled_or_deleted_user_is_not_extended(api: Api, world: World) -> None:
    service, disabled, deleted = world.service("files:write"), world.session(), world.session()
    world.db.one("principal_disable", id=disabled.id)
    world.db.one("principal_delete", id=deleted.id, principal_types=["password"])
    for user in (disabled, deleted):
        for expires_in in (0, 1):
            api.extend(service.access_token, user.access_token, "files:read", expires_in=expires_in).refused(
                401, "INVALID_TOKEN"
            )


AGAIN = "INSERT INTO principal (id, role, principal_type, first_names, last_name, tokens_ended_at) VALUES "
CHANGES = {
    "user disabled": "UPDATE principal SET disabled_at = now() WHERE id = '{user}'",
    "service disabled": "UPDATE principal SET disabled_at = now() WHERE id = '{service}'",
    "tokens of the user ended": "UPDATE principal SET tokens_ended_at = clock_timestamp() WHERE id = '{user}'",
    "user deleted": "DELETE FROM principal WHERE id = '{user}'",
    "service deleted": "DELETE FROM principal WHERE id = '{service}'",
    "another user with this id": "DELETE FROM principal WHERE id = '{user}';"
    + AGAIN
    + "('{user}', 'USER', 'password', 'A', 'B', '-infinity')",
    "another service with this id": "DELETE FROM principal WHERE id = '{service}';"
    + AGAIN
    + "('{service}', 'SERVICE', 'service', NULL, NULL, '-infinity')",
}


@pytest.mark.parametrize("change", CHANGES)
def test_nothing_is_stored_after_a_change_during_the_extension(
    api: Api, world: World, database_url: str, change: str
) -> None:
    """The lock lets the extension read both tokens, and stops it where it would store the delegation."""
    service, user = world.service("files:read"), world.user()
    statement = CHANGES[change].format(user=user, service=service.id)
    with ThreadPoolExecutor(1) as pool:
        with holding(database_url, "LOCK TABLE principal IN EXCLUSIVE MODE") as connection:
            token = world.access_token(user)
            extend = pool.submit(api.extend, service.access_token, token, "files:read", refreshes=True)
            assert waits_for_a_lock(database_url, extend)
            connection.execute(statement)
        extend.result().refused(401, "INVALID_TOKEN")


def test_a_deleted_service_extends_nothing_and_loses_what_it_had(api: Api, world: World) -> None:
    service, user = world.service("files:write"), world.session()
    extended = api.extend(service.access_token, user.access_token, "files:read", refreshes=True).ok()
    world.db.one("principal_delete", id=service.id, principal_types=["service"])
    api.extend(service.access_token, user.access_token, "files:read").refused(401, "INVALID_TOKEN")
    api.refresh(extended["refreshToken"]).refused(401)
    api.refresh(service.refresh_token).refused(401)
    assert api.refresh(user.refresh_token).status == 200


@pytest.mark.parametrize(
    "change",
    [
        {"validJWT": None},
        {"validJWT": 1},
        {"requestedScopes": None},
        {"requestedScopes": "files:read"},
        {"requestedScopes": [None]},
        {"expiresIn": None},
        {"expiresIn": "60000"},
        {"expiresIn": 1.5},
        {"expiresIn": True},
        {"allowRefreshes": "true"},
        {"allowRefreshes": 1},
    ],
)
def test_a_body_that_is_not_the_model_is_400(api: Api, world: World, change: dict[str, Any]) -> None:
    service, user = world.service("files:write"), world.session()
    good = {"validJWT": user.access_token, "requestedScopes": ["files:read"], "expiresIn": 60_000}
    assert api.call("POST", "/auth/extend", service.access_token, json_body=good | {"more": 1}).status == 200
    api.call("POST", "/auth/extend", service.access_token, json_body=good | change).refused(400, "INVALID_REQUEST")
    for name in good:
        less = {key: value for key, value in good.items() if key != name}
        answer = api.call("POST", "/auth/extend", service.access_token, json_body=less).refused(400, "INVALID_REQUEST")
        assert name in answer.json["why"]


def numbered(count: int, characters: int) -> list[str]:
    """That many scopes of that length below `files`."""
    return [f"files.{number:0{characters - 11}}:read" for number in range(count)]


NAME, ID = "😀" * NAME_CHARACTERS, "😀" * ID_CHARACTERS
EMOJI: dict[str, Any] = {"first_names": NAME, "last_name": NAME, "email": ID, "org_id": ID}


@pytest.mark.parametrize("refreshes", [False, True])
@pytest.mark.parametrize("person", [{}, EMOJI], ids=["short", "long"])
def test_a_token_that_is_too_long_is_not_made(api: Api, world: World, person: dict[str, Any], refreshes: bool) -> None:
    """As many scopes are granted as fit. Nothing is stored for a token that is not made."""
    service, user = world.service("files:read"), world.session(world.user(**person))
    token, scopes = user.access_token, numbered(SCOPES_PER_REQUEST, 16)
    while (answer := api.extend(service.access_token, token, *scopes, refreshes=refreshes)).status == 200:
        middle = world.service("files:read", named=f"_{secrets.token_hex(8)}" + "😀" * (ID_CHARACTERS - 17))
        token = api.extend(middle.access_token, token, "files:read").ok()["accessToken"]
    assert "too long" in answer.refused(400, "INVALID_REQUEST").json["why"]
    call = partial(api.extend, service.access_token, token, refreshes=refreshes)
    most = most_of(SCOPES_PER_REQUEST, lambda count: call(*scopes[:count]))
    assert 0 < most < SCOPES_PER_REQUEST
    stored = api.delegations(user.access_token).ok()["itemsInTotal"]
    assert (stored > 0) is refreshes
    call(*scopes[: most + 1]).refused(400, "INVALID_REQUEST")
    assert api.delegations(user.access_token).ok()["itemsInTotal"] == stored
    extended = call(*scopes[:most]).ok()
    made = [extended["accessToken"]]
    if refreshes:
        made.append(api.refresh(extended["refreshToken"]).ok()["accessToken"])
    for taken in made:
        assert TOKEN_CHARACTERS - 30 < len(taken) <= TOKEN_CHARACTERS
        assert claims(taken)["aud"] == scopes[:most]
        api.extend(world.service("files:read").access_token, taken, scopes[0]).ok()


def test_all_scopes_of_a_request_have_a_limit_together(api: Api, world: World) -> None:
    service, user = world.service("files:read"), world.session()
    for characters in (SCOPE_CHARACTERS, 32):
        scopes = numbered(SCOPES_BYTES // characters, characters)
        assert sum(map(len, scopes)) == SCOPES_BYTES
        assert claims(api.extend(service.access_token, user.access_token, *scopes).ok()["accessToken"])["aud"] == scopes
        for more in ("files:read", "files"):
            answer = api.extend(service.access_token, user.access_token, *scopes, more)
            assert f"{SCOPES_BYTES:,} bytes" in answer.refused(400, "INVALID_REQUEST").json["why"]


def test_a_stored_delegation_with_too_many_scopes_is_refused(api: Api, world: World, database_url: str) -> None:
    """The release 1.1.0 stored up to 1,000 scopes of 1 KiB."""
    service, user = world.service("files:read"), world.session()
    refresh_token = api.extend(service.access_token, user.access_token, "files:read", refreshes=True).ok()[
        "refreshToken"
    ]
    scopes = numbered(1000, SCOPE_CHARACTERS)
    with psycopg.connect(database_url) as connection:
        digest = refresh_tokens.digest(refresh_token)
        connection.execute("UPDATE refresh_token SET scopes = %s WHERE token_hash = %s", [scopes, digest])
    assert "too long" in api.refresh(refresh_token).refused(400, "INVALID_REQUEST").json["why"]
    assert api.logout(refresh_token).ok() == {}


@pytest.mark.parametrize("refreshes", [False, True])
def test_a_chain_has_a_limit(api: Api, world: World, refreshes: bool) -> None:
    """Also when one service extends its own extended token again and again."""
    service, other, user = world.service("files:read"), world.service("files:read"), world.session()
    token = user.access_token
    for _ in range(CHAIN_SERVICES):
        token = api.extend(service.access_token, token, "files:read", refreshes=refreshes).ok()["accessToken"]
    for last in (service, other):
        for stored in (False, True):
            api.extend(last.access_token, token, "files:read", refreshes=stored).refused(400, "CHAIN_TOO_LONG")
        api.extend(last.access_token, token, "jobs:read").refused(401, "SCOPE_NOT_IN_POLICY")
    expected = CHAIN_SERVICES if refreshes else 0
    assert api.delegations(user.access_token).ok()["itemsInTotal"] == expected


def test_the_delegations_of_a_person_and_service_have_a_limit(api: Api, world: World, database_url: str) -> None:
    """Only live ones count. Those of other services and persons do not, and what is not stored has no bound."""
    service, other, user, stranger = (
        world.service("files:read"),
        world.service("files:read"),
        world.session(),
        world.session(),
    )
    tokens = add_delegations(database_url, user.id, service.id, DELEGATIONS - 1)
    add_delegations(database_url, user.id, service.id, 30, expires_in="-1 hour")
    add_sessions(database_url, user.id, 200)
    bearer = service.access_token
    last = api.extend(bearer, user.access_token, "files:read", refreshes=True).ok()
    for token in (user.access_token, last["accessToken"]):
        api.extend(bearer, token, "files:read", refreshes=True).refused(400, "TOO_MANY_DELEGATIONS")
        api.extend(bearer, token, "jobs:read", refreshes=True).refused(401, "SCOPE_NOT_IN_POLICY")
        assert api.extend(bearer, token, "files:read").status == 200
    assert api.delegations(user.access_token).ok()["itemsInTotal"] == DELEGATIONS
    assert api.extend(bearer, stranger.access_token, "files:read", refreshes=True).status == 200
    assert api.extend(other.access_token, last["accessToken"], "files:read", refreshes=True).status == 200
    assert {api.refresh(token).status for token in (tokens[0], tokens[-1], last["refreshToken"])} == {200}
    api.logout(tokens[0]).ok()
    assert api.extend(bearer, user.access_token, "files:read", refreshes=True).status == 200


def test_parallel_extensions_keep_the_bound(api: Api, world: World, database_url: str) -> None:
    service, user = world.service("files:read"), world.session()
    add_delegations(database_url, user.id, service.id, DELEGATIONS - 3)
    with ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(
                lambda _: api.extend(service.access_token, user.access_token, "files:read", refreshes=True), range(24)
            )
        )
    assert Counter(answer.status for answer in answers) == {200: 3, 400: 21}
    assert api.delegations(user.access_token).ok()["itemsInTotal"] == DELEGATIONS


def test_an_extension_waits_for_one_that_is_being_stored_and_counts_it(
    api: Api, world: World, database_url: str
) -> None:  # fmt: skip
    service, user = world.service("files:read"), world.session()
    add_delegations(database_url, user.id, service.id, DELEGATIONS - 1)
    bearers = [world.tokens.verify(each.access_token) for each in (service, user)]
    with ThreadPoolExecutor(1) as pool:
        with DirectDatabase(database_url).transaction() as transaction:
            first = transaction.one(
                "extension_insert", **bearers[0].parameters(), **bearers[1].parameters("user"),
                token_hash=secrets.token_bytes(32), scopes=["files:read"],
                access_token_lifetime_ms=1000, extended_by_chain=[service.id],
                ttl_days=EXTENDED_REFRESH_TOKEN_DAYS, delegations=DELEGATIONS,
                session_reference=uuid.uuid4(),
            )  # fmt: skip
            assert first is not None
            second = pool.submit(api.extend, service.access_token, user.access_token, "files:read", refreshes=True)
            wait_for_lock(database_url)
        second.result().refused(400, "TOO_MANY_DELEGATIONS")
