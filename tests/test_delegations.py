"""listDelegations, invalidateDelegation and invalidateDelegations."""

import os
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auth.cli.common import DirectDatabase
from auth.core import refresh_tokens
from auth.core.limits import DELEGATIONS, EXTENDED_REFRESH_TOKEN_DAYS
from auth.core.models import Role
from auth.core.refresh_tokens import digest

from .support.api import Answer, Api
from .support.locks import waits_for_a_lock
from .support.world import Stored, World, claims

SEQUENCES = 2000 if "SOAK" in os.environ else 25
STEPS = ["extend", "again", "refresh", "end", "all", "expire", "delete service"]
EXPIRE = """
WITH RECURSIVE made AS (
    SELECT token_hash FROM refresh_token WHERE public_session_reference = %s
    UNION SELECT below.token_hash FROM refresh_token AS below JOIN made ON below.made_from = made.token_hash
)
UPDATE refresh_token SET expires_at = now() WHERE token_hash IN (SELECT token_hash FROM made)
"""
SCOPES = ("files:read", "auth:write")
FIELDS = {"id", "extendedBy", "extendedByChain", "scopes", "createdAt", "lastUsedAt", "expiresAt", "title"}


def delegated(api: Api, world: World, user: Stored, token: str | None = None) -> dict[str, Any]:
    """The tokens of a new delegation by a service of its own."""
    service = world.service(*SCOPES)
    made: dict[str, Any] = api.extend(service.access_token, token or user.access_token, *SCOPES, refreshes=True).ok()
    return made | {"service": service.id, "id": claims(made["accessToken"])["publicSessionReference"]}


def ids(api: Api, user: Stored) -> list[str]:
    return [item["id"] for item in api.delegations(user.access_token).ok()["items"]]


def test_the_owner_sees_who_acts_for_them(api: Api, world: World) -> None:
    user = world.session()
    one = delegated(api, world, user)
    other = delegated(api, world, user, one["accessToken"])
    world.session(user.id)
    delegated(api, world, world.session())
    page = api.delegations(user.access_token).ok()
    assert (page["itemsInTotal"], page["itemsPerPage"], page["pageNumber"]) == (2, 50, 0)
    newest, oldest = page["items"]
    assert set(newest) == FIELDS
    assert (newest["id"], oldest["id"]) == (other["id"], one["id"])
    assert (newest["extendedBy"], newest["scopes"]) == (other["service"], list(SCOPES))
    assert newest["extendedByChain"] == [one["service"], other["service"]]
    assert abs(newest["createdAt"] / 1000 - time.time()) < 30
    assert newest["expiresAt"] <= oldest["expiresAt"]
    assert abs((oldest["expiresAt"] - oldest["createdAt"]) / 1000 - EXTENDED_REFRESH_TOKEN_DAYS * 86400) < 5


def test_a_delegation_has_no_last_use_until_it_refreshes(api: Api, world: World, database_url: str) -> None:
    user = world.session()
    made = delegated(api, world, user)
    assert api.delegations(user.access_token).ok()["items"][0]["lastUsedAt"] is None
    api.refresh(made["refreshToken"]).ok()
    first = api.delegations(user.access_token).ok()["items"][0]["lastUsedAt"]
    assert abs(first / 1000 - time.time()) < 30
    api.refresh(made["refreshToken"]).ok()
    assert api.delegations(user.access_token).ok()["items"][0]["lastUsedAt"] == first
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "UPDATE refresh_token SET last_used_at = last_used_at - interval '5 minutes' WHERE principal_id = %s",
            [user.id],
        )
    api.refresh(made["refreshToken"]).ok()
    assert api.delegations(user.access_token).ok()["items"][0]["lastUsedAt"] >= first


def test_pages_are_newest_first_and_lose_nothing(api: Api, world: World) -> None:
    user = world.session()
    made = [delegated(api, world, user)["id"] for _ in range(13)]
    pages = [api.delegations(user.access_token, f"?itemsPerPage=10&page={number}").ok() for number in range(3)]
    assert [len(page["items"]) for page in pages] == [10, 3, 0]
    assert {page["itemsInTotal"] for page in pages} == {13}
    assert [item["id"] for page in pages for item in page["items"]] == made[::-1]
    api.delegations(user.access_token, "?page=x").refused(400, "INVALID_REQUEST")
    assert api.delegations(user.access_token, "?itemsPerPage=7&page=-1").ok()["itemsPerPage"] == 50


def test_delegations_of_the_same_instant_keep_their_order(api: Api, world: World, database_url: str) -> None:
    user = world.session()
    made = sorted(delegated(api, world, user)["id"] for _ in range(13))
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE refresh_token SET created_at = now() WHERE principal_id = %s", [user.id])
    pages = [api.delegations(user.access_token, f"?itemsPerPage=10&page={number}").ok() for number in range(2)]
    assert [item["id"] for page in pages for item in page["items"]] == made


def test_one_delegation_ends_with_all_made_from_it(api: Api, world: World) -> None:
    user = world.session()
    one, kept = delegated(api, world, user), delegated(api, world, user)
    below = delegated(api, world, user, one["accessToken"])
    service = world.service(*SCOPES)
    passing = api.extend(service.access_token, one["accessToken"], *SCOPES).ok()["accessToken"]
    assert api.invalidate_delegation(user.access_token, one["id"]).ok() == {}
    for made in (one, below):
        api.refresh(made["refreshToken"]).refused(401, "INVALID_TOKEN")
        api.request_one_time_token(made["accessToken"], "files:read").refused(401, "INVALID_TOKEN")
    api.request_one_time_token(passing, "files:read").refused(401, "INVALID_TOKEN")
    assert ids(api, user) == [kept["id"]]
    assert api.refresh(kept["refreshToken"]).status == 200
    assert api.refresh(user.refresh_token).status == 200
    api.invalidate_delegation(user.access_token, one["id"]).refused(404, "NO_SUCH_DELEGATION")


def test_all_delegations_end_and_sessions_go_on(api: Api, world: World) -> None:
    user, service = world.session(), world.service(*SCOPES)
    made = [delegated(api, world, user) for _ in range(3)]
    passing = api.extend(service.access_token, user.access_token, *SCOPES).ok()["accessToken"]
    foreign = delegated(api, world, world.session())
    for _ in range(2):  # the second time there is none
        assert api.invalidate_delegations(user.access_token).ok() == {}
    for each in made:
        api.refresh(each["refreshToken"]).refused(401, "INVALID_TOKEN")
    api.request_one_time_token(passing, "files:read").refused(401, "INVALID_TOKEN")
    assert ids(api, user) == []
    for refresh_token in (user.refresh_token, foreign["refreshToken"]):
        assert api.refresh(refresh_token).status == 200


def test_only_ones_own_live_delegations_can_be_ended(api: Api, world: World, database_url: str) -> None:
    user = world.session()
    own, foreign = delegated(api, world, user), delegated(api, world, world.session())
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "UPDATE refresh_token SET expires_at = now() WHERE public_session_reference = %s", [own["id"]]
        )
    session = claims(user.access_token)["publicSessionReference"]
    for path in (
        foreign["id"],
        own["id"],
        session,
        str(uuid.uuid4()),
        own["id"].upper(),
        "x",
        "%00",
        "ü",
        f"{{{own['id']}}}",
    ):
        api.invalidate_delegation(user.access_token, path).refused(404, "NO_SUCH_DELEGATION")
    assert ids(api, user) == []
    assert api.refresh(foreign["refreshToken"]).status == 200


def test_only_the_owners_own_session_may(api: Api, world: World) -> None:
    user = world.session()
    made = delegated(api, world, user)
    narrowed = world.access_token(
        user.id, ["auth:write"], session=uuid.UUID(claims(user.access_token)["publicSessionReference"])
    )
    one_time = api.request_one_time_token(user.access_token, "all:write").ok()["accessToken"]
    calls: list[Callable[[str | None], Answer]] = [
        lambda bearer: api.delegations(bearer),
        lambda bearer: api.invalidate_delegations(bearer),
        lambda bearer: api.invalidate_delegation(bearer, made["id"]),
    ]
    for call in calls:
        call(narrowed).refused(403, "SESSION_TOKEN_NEEDED")
        call(made["accessToken"]).refused(403, "SESSION_TOKEN_NEEDED")
        call(one_time).refused(401, "INVALID_TOKEN")
        call(None).refused(401, "INVALID_TOKEN")
        call(world.service().access_token).refused(401, "ROLE_NOT_ALLOWED")
    assert made["id"] in ids(api, user)
    assert api.delegations(world.session(world.user(Role.ADMIN)).access_token).status == 200


@settings(
    max_examples=SEQUENCES, deadline=None, database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip
@given(steps=st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 9)), max_size=12))
def test_the_list_has_exactly_the_live_delegations(
    api: Api, world: World, database_url: str, steps: list[tuple[str, int]]
) -> None:
    """After any sequence of extensions, refreshes, ends and expiries, the list equals a model, in the same order."""
    user, services = world.session(), [world.service("files:write") for _ in range(2)]
    deleted = set[str]()
    alive: dict[str, dict[str, Any]] = {}  # newest last; "from" names the delegation that one was made from

    def end(delegation: str) -> None:
        for name in [name for name, each in alive.items() if each["from"] == delegation]:
            end(name)
        alive.pop(delegation, None)

    for step, number in steps:
        service = services[number % 2]
        chosen = list(alive)[number % len(alive)] if alive else None
        if step == "extend" or (step == "again" and chosen):
            token = alive[chosen]["accessToken"] if step == "again" and chosen else user.access_token
            answer = api.extend(service.access_token, token, "files:read", refreshes=True)
            if service.id in deleted:
                answer.refused(401)
                continue
            made = answer.ok()
            name = claims(made["accessToken"])["publicSessionReference"]
            alive[name] = made | {"from": chosen if step == "again" else None, "by": service.id}
        elif step == "refresh" and chosen:
            assert api.refresh(alive[chosen]["refreshToken"]).status == 200
            alive[chosen]["used"] = True
        elif step == "end" and chosen:
            assert api.invalidate_delegation(user.access_token, chosen).status == 200
            end(chosen)
        elif step == "expire" and chosen:
            with psycopg.connect(database_url) as connection:
                connection.execute(EXPIRE, [chosen])
            end(chosen)
        elif step == "all":
            assert api.invalidate_delegations(user.access_token).status == 200
            alive.clear()
        elif step == "delete service":
            world.db.one("principal_delete", id=service.id, principal_types=["service"])
            deleted.add(service.id)
            for name in [name for name, each in alive.items() if each["by"] == service.id]:
                end(name)
        items = api.delegations(user.access_token).ok()["items"]
        assert [item["id"] for item in items] == list(alive)[::-1]
        assert [item["lastUsedAt"] is not None for item in items] == [
            "used" in each for each in list(alive.values())[::-1]
        ]
    assert api.refresh(user.refresh_token).status == 200


def test_a_delegation_that_is_being_stored_ends_too(api: Api, world: World, database_url: str) -> None:
    """The end waits for the lock of the extension, and then sees the delegation that it stored."""
    user, service, token = world.session(), world.service(*SCOPES), refresh_tokens.generate()
    bearers = [world.tokens.verify(each.access_token) for each in (service, user)]
    with ThreadPoolExecutor(1) as pool:
        with DirectDatabase(database_url).transaction() as transaction:
            stored = transaction.one(
                "extension_insert", **bearers[0].parameters(), **bearers[1].parameters("user"),
                token_hash=digest(token), session_reference=uuid.uuid4(), scopes=list(SCOPES),
                access_token_lifetime_ms=1000, extended_by_chain=[service.id],
                ttl_days=EXTENDED_REFRESH_TOKEN_DAYS, delegations=DELEGATIONS,
            )  # fmt: skip
            assert stored is not None
            ending = pool.submit(api.invalidate_delegations, user.access_token)
            assert waits_for_a_lock(database_url, ending)
        assert ending.result().ok() == {}
    assert ids(api, user) == []
    api.refresh(token).refused(401, "INVALID_TOKEN")


@pytest.mark.parametrize("refreshes", [True, False])
def test_extensions_beside_their_end(api: Api, world: World, refreshes: bool) -> None:
    """Extensions by 8 threads; each that was answered before the end began has ended, and the others are listed."""
    user, service = world.session(), world.service(*SCOPES)
    made: list[tuple[float, dict[str, Any]]] = []
    ended: list[float] = []

    def extend(_: int) -> None:
        answer = api.extend(service.access_token, user.access_token, *SCOPES, refreshes=refreshes)
        made.append((time.monotonic(), answer.ok()))

    def end() -> None:
        ended.append(time.monotonic())
        api.invalidate_delegations(user.access_token).ok()

    with ThreadPoolExecutor(9) as pool:
        extending = [pool.submit(extend, number) for number in range(40)]
        ending = pool.submit(end)
        extending += [pool.submit(extend, number) for number in range(40)]
        for future in (*extending, ending):
            future.result()
    for at, tokens in made:
        if at < ended[0]:
            api.request_one_time_token(tokens["accessToken"], "files:read").refused(401, "INVALID_TOKEN")
    alive = {claims(t["accessToken"]).get("publicSessionReference") for _, t in made
             if api.request_one_time_token(t["accessToken"], "files:read").status == 200}  # fmt: skip
    if refreshes:
        listed = {item["id"] for item in api.delegations(user.access_token, "?itemsPerPage=100").ok()["items"]}
        assert listed == alive
