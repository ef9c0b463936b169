"""requestOneTimeTokenWithAudience and claim: tokens that are spent once."""

import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from auth.core.limits import (
    ID_CHARACTERS,
    NAME_CHARACTERS,
    ONE_TIME_TOKEN_MS,
    SCOPES_BYTES,
    TOKEN_CHARACTERS,
)
from auth.core.models import Role

from .support.api import Api, most_of
from .support.world import World, claims


def test_a_one_time_token_carries_what_was_asked_and_through_whom(api: Api, world: World) -> None:
    session, service = world.session(), world.service("files:write", "auth:write")
    extended = api.extend(service.access_token, session.access_token, "files:write", "auth:write", refreshes=True).ok()
    bearer = extended["accessToken"]
    answer = api.request_one_time_token(bearer, "files.download:READ,files:write").ok()
    payload = claims(answer["accessToken"])
    assert payload["jti"] == answer["jti"]
    assert payload["aud"] == ["files.download:read", "files:write"]
    assert payload["sub"] == session.id
    assert payload["publicSessionReference"] == claims(bearer)["publicSessionReference"]
    assert (payload["extendedBy"], payload["extendedByChain"]) == (service.id, [service.id])
    assert payload["exp"] - payload["iat"] == ONE_TIME_TOKEN_MS // 1000
    assert 0 <= time.time() - payload["iat"] < 30
    assert api.request_one_time_token(bearer, "files:write").ok()["jti"] != answer["jti"]


def test_services_ask_too(api: Api, world: World) -> None:
    assert api.request_one_time_token(world.service().access_token, "files:read").ok()


@pytest.mark.parametrize(
    "audience",
    ["", ",", "files", "files:", "files:execute", ":read", "a..b:read", "a:read:k", "a:read:", "a:read:k!%", "a b:read",
     "a:read,", "a:read, b:read", "a:read:k!dg==,b", "å:read", "a:read\n", "a:read\0", "x" * 1100 + ":read"],
)  # fmt: skip
def test_a_malformed_audience_is_400(api: Api, world: World, audience: str) -> None:
    api.request_one_time_token(world.session().access_token, audience).refused(400, "MALFORMED_SCOPE")


def test_a_token_that_is_too_long_is_not_made(api: Api, world: World) -> None:
    """It carries the chain of its bearer too. As many scopes are granted as fit."""
    emoji: dict[str, Any] = {
        "first_names": "😀" * NAME_CHARACTERS,
        "last_name": "😀" * NAME_CHARACTERS,
        "email": "😀" * ID_CHARACTERS,
        "org_id": "😀" * ID_CHARACTERS,
    }
    bearer = world.session(world.user(**emoji)).access_token
    for _ in range(2):
        service = world.service(
            "auth:write", "files:write", named=f"_{secrets.token_hex(8)}" + "😀" * (ID_CHARACTERS - 17)
        )
        bearer = api.extend(service.access_token, bearer, "auth:write", "files:write").ok()["accessToken"]
    asked = [f"files.{number:05}:read" for number in range(400)]
    why = api.request_one_time_token(bearer, ",".join(asked)).refused(400, "INVALID_REQUEST").json["why"]
    assert "too long" in why
    most = most_of(len(asked), lambda count: api.request_one_time_token(bearer, ",".join(asked[:count])))
    assert 0 < most < 400
    token = api.request_one_time_token(bearer, ",".join(asked[:most])).ok()["accessToken"]
    assert TOKEN_CHARACTERS - 30 < len(token) <= TOKEN_CHARACTERS


def test_all_scopes_of_a_request_have_a_limit_together(api: Api, world: World) -> None:
    scopes = [f"files.{number:0501}:read" for number in range(SCOPES_BYTES // 512 - 1)]
    last = SCOPES_BYTES - sum(map(len, scopes)) - len("files.:read")
    bearer, most = world.session().access_token, ",".join([*scopes, f"files.{'x' * last}:read"])
    assert len(api.request_one_time_token(bearer, most).ok()["accessToken"]) <= TOKEN_CHARACTERS
    api.request_one_time_token(bearer, f"{most},files:read").refused(400, "INVALID_REQUEST")


def test_a_missing_audience_is_400(api: Api, world: World) -> None:
    bearer = world.session().access_token
    api.call("POST", "/auth/request", bearer).refused(400, "INVALID_REQUEST")
    api.call("POST", "/auth/request?audience=%ff", bearer).refused(400, "INVALID_REQUEST")


def test_of_two_audiences_the_first_counts(api: Api, world: World) -> None:
    answer = api.call("POST", "/auth/request?audience=a:read&audience=b:read", world.session().access_token).ok()
    assert claims(answer["accessToken"])["aud"] == ["a:read"]


@pytest.mark.parametrize("audience", ["all:write", "jobs:read", "files:read,jobs:read", "special.x:read", "file:read"])
def test_an_audience_beyond_the_scopes_of_the_bearer_is_refused(api: Api, world: World, audience: str) -> None:
    bearer = world.access_token(world.user(), ["files:write", "auth:write"])
    api.request_one_time_token(bearer, audience).refused(401, "SCOPE_NOT_COVERED")


def test_metadata_narrows(api: Api, world: World) -> None:
    bearer = world.access_token(world.user(), ["files:read:path!L2hvbWU=", "auth:write"])
    assert api.request_one_time_token(bearer, "files.list:read:path!L2hvbWU=").status == 200
    api.request_one_time_token(bearer, "files:read").refused(401, "SCOPE_NOT_COVERED")
    api.request_one_time_token(bearer, "files:read:path!L2V0Yw==").refused(401, "SCOPE_NOT_COVERED")


def test_a_disabled_or_deleted_bearer_is_refused(api: Api, world: World) -> None:
    disabled, deleted = world.session(), world.session()
    world.db.one("principal_disable", id=disabled.id)
    world.db.one("principal_delete", id=deleted.id, principal_types=["password"])
    for session in (disabled, deleted):
        api.request_one_time_token(session.access_token, "files:read").refused(401, "INVALID_TOKEN")


def test_a_one_time_token_is_the_bearer_of_nothing(api: Api, world: World) -> None:
    admin, service = world.user(Role.ADMIN), world.service("files:write")
    token = api.request_one_time_token(world.access_token(admin), "all:write").ok()["accessToken"]
    answers = [
        api.request_one_time_token(token, "files:read"),
        api.claim(token, "x"),
        api.bulk_invalidate(token, []),
        api.extend(token, world.session().access_token, "files:read"),
        api.extend(service.access_token, token, "files:read"),
        api.sessions(token),
        api.invalidate_sessions(token),
        api.refresh(token),
        api.logout(token),
    ]
    for answer in answers:
        answer.refused(401, "INVALID_TOKEN")


@pytest.mark.parametrize("role", [Role.ADMIN, Role.SERVICE])
def test_a_jti_is_claimed_once(api: Api, world: World, role: Role) -> None:
    bearer = world.service().access_token if role is Role.SERVICE else world.access_token(world.user(role))
    jti = api.request_one_time_token(world.session().access_token, "files:read").ok()["jti"]
    assert api.claim(bearer, jti).ok() == {}
    for _ in range(2):
        api.claim(bearer, jti).refused(409, "ALREADY_CLAIMED")


def test_a_jti_of_another_issuer_can_be_claimed(api: Api, world: World) -> None:
    bearer = world.service().access_token
    for jti in (
        secrets.token_hex(8).ljust(ID_CHARACTERS - 1, "x") + "é",
        "%ff" + secrets.token_hex(8),
        " " + secrets.token_hex(8),
    ):
        assert api.claim(bearer, jti).status == 200
        assert api.claim(bearer, jti).status == 409


@pytest.mark.parametrize(
    "query", ["", "?jti=", "?jti=a%00b", "?jti=" + "a" * (ID_CHARACTERS + 1), "?jti=%ff", "?JTI=a"]
)
def test_a_bad_jti_is_400(api: Api, world: World, query: str) -> None:
    api.call("POST", f"/auth/claim{query}", world.service().access_token).refused(400, "INVALID_REQUEST")


def test_only_the_privileged_claim(api: Api, world: World) -> None:
    jti = secrets.token_hex(8)
    narrow = world.access_token(world.service().id, ["auth.claim:read"])
    for bearer in (None, world.session().access_token, narrow):
        api.claim(bearer, jti).refused(401)
    assert api.claim(world.service().access_token, jti).status == 200


def test_of_many_claims_at_once_one_wins(api: Api, world: World) -> None:
    bearer = world.service().access_token
    with ThreadPoolExecutor(8) as pool:
        for _ in range(20):
            jti = secrets.token_hex(8)
            answers = list(pool.map(lambda _, jti=jti: api.claim(bearer, jti).status, range(16)))
            assert sorted(answers) == [200] + [409] * 15
