"""listUserSessions and invalidateSessions."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from flask import Flask as App

from auth.cli.common import DirectDatabase
from auth.config import Config
from auth.core.limits import SESSIONS, USER_AGENT_CHARACTERS
from auth.core.models import Role

from .support.api import COOKIE, Api, any_address, send_to_app
from .support.command_line import CommandLine
from .support.locks import waits_for_a_lock
from .support.rows import add_delegations, add_sessions, wait_for_lock
from .support.world import PASSWORD, World, claims


def test_a_session_remembers_where_it_came_from(api: Api, world: World, address: str) -> None:
    user = world.user()
    long = "Mozilla/5.0 " + "é" * USER_AGENT_CHARACTERS
    answer = api.login(user, PASSWORD, world.login_service(), User_Agent=long).ok()
    page = api.sessions(answer["accessToken"]).ok()
    assert (page["itemsInTotal"], page["itemsPerPage"], page["pageNumber"]) == (1, 50, 0)
    [session] = page["items"]
    assert session["ipAddress"] == address
    assert len(session["userAgent"]) == USER_AGENT_CHARACTERS
    assert session["userAgent"].startswith("Mozilla/5.0 ")
    assert session["id"] == claims(answer["accessToken"])["publicSessionReference"]
    assert session["current"]
    assert set(session) == {"ipAddress", "userAgent", "createdAt", "lastUsedAt", "id", "current"}
    assert abs(session["createdAt"] / 1000 - time.time()) < 30


def test_a_device_name_with_nul_loses_it(api: Api, world: World) -> None:
    """PostgreSQL cannot store NUL; a login must not fail for it."""
    answer = api.login(world.user(), PASSWORD, world.login_service(), User_Agent="cu\0rl\0").ok()
    [session] = api.sessions(answer["accessToken"]).ok()["items"]
    assert session["userAgent"] == "curl"


def test_an_unknown_address_or_device_is_named_unknown(api: Api, world: World) -> None:
    session = world.session(ip_address=None, user_agent=None)
    [item] = api.sessions(session.access_token).ok()["items"]
    assert (item["ipAddress"], item["userAgent"]) == ("Unknown location", "Unknown device")


def test_pages_are_newest_first_and_lose_nothing(api: Api, world: World) -> None:
    user = world.user()
    for number in range(23):
        session = world.session(user, user_agent=str(number))
    world.session(user, ttl=-1)
    world.session()
    pages = [api.sessions(session.access_token, f"?itemsPerPage=10&page={number}").ok() for number in range(4)]
    assert [len(page["items"]) for page in pages] == [10, 10, 3, 0]
    assert {page["itemsInTotal"] for page in pages} == {23}
    assert [page["pageNumber"] for page in pages] == [0, 1, 2, 3]
    seen = [item["userAgent"] for page in pages for item in page["items"]]
    assert seen == [str(number) for number in reversed(range(23))]


@pytest.mark.usefixtures("without_order")
def test_sessions_of_the_same_instant_keep_their_order(
    config: Config, deploy: Callable[[Config], App], world: World, flask: CommandLine, database_url: str
) -> None:
    """They are in the order of their ids: in each page, over all pages, and on the command line."""
    user, api = world.user(), Api(send_to_app(deploy(config), any_address()))
    tokens = [world.session(user).access_token for _ in range(30)]
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE refresh_token SET created_at = now() WHERE principal_id = %s", [user])
    ids = sorted(claims(token)["publicSessionReference"] for token in tokens)
    pages = [api.sessions(tokens[0], f"?itemsPerPage=10&page={number}").ok() for number in range(3)]
    assert [item["id"] for page in pages for item in page["items"]] == ids
    assert [item["id"] for item in flask.json("sessions", "list", user)] == ids


@pytest.mark.parametrize(
    ("query", "size", "number"),
    [
        ("", 50, 0),
        ("?itemsPerPage=10", 10, 0),
        ("?itemsPerPage=25&page=1", 25, 1),
        ("?itemsPerPage=100", 100, 0),
        ("?itemsPerPage=250&page=3", 250, 3),
        *((f"?itemsPerPage={other}", 50, 0) for other in (1, 9, 11, 24, 26, 99, 101, 200, 249, 251, 500, 1000)),
        ("?itemsPerPage=0", 50, 0),
        ("?itemsPerPage=-10", 50, 0),
        ("?itemsPerPage=99999999999999999999999", 50, 0),
        ("?page=-1", 50, 0),
        ("?page=-0", 50, 0),
        ("?page=007&itemsPerPage=010", 10, 7),
        ("?page=-99999999999999999999999", 50, 0),
        ("?page=2147483647", 50, 2147483647),
        ("?page=1&page=x", 50, 1),
        ("?unknown=1", 50, 0),
    ],
)
def test_page_numbers_and_sizes(api: Api, world: World, query: str, size: int, number: int) -> None:
    page = api.sessions(world.session().access_token, query).ok()
    assert (page["itemsPerPage"], page["pageNumber"], page["itemsInTotal"]) == (size, number, 1)


@pytest.mark.parametrize(
    "query",
    ["?page=x", "?page=", "?page=1.5", "?page=%00", "?page=null", "?page=2147483648", "?page=" + "9" * 5000,
     "?itemsPerPage=ten", "?itemsPerPage=", "?itemsPerPage=%D9%A1%D9%A0", "?page=%ff", "?itemsPerPage=1e1",
     "?itemsPerPage=1e400", "?itemsPerPage=10.0", "?itemsPerPage=%2010", "?itemsPerPage=10%20", "?itemsPerPage=%2B10",
     "?itemsPerPage=+10", "?itemsPerPage=10%0A", "?itemsPerPage=1_0", "?itemsPerPage=0x10", "?page=true", "?page=-",
     "?page=--1", "?page=%EF%BC%91", "?page=%C2%B2", "?page=NaN", "?page=Infinity"],
)  # fmt: skip
def test_what_is_not_a_number_is_400(api: Api, world: World, query: str) -> None:
    api.sessions(world.session().access_token, query).refused(400, "INVALID_REQUEST")


def test_all_sessions_end_and_the_cookie_with_them(api: Api, world: World) -> None:
    user = world.user(Role.ADMIN)
    sessions, stranger = [world.session(user) for _ in range(3)], world.session()
    answer = api.invalidate_sessions(sessions[0].access_token)
    assert answer.ok() == {}
    assert (answer.cookies[COOKIE].value, answer.cookies[COOKIE]["max-age"]) == ("", "0")
    for session in sessions:
        api.refresh(session.refresh_token).refused(401)
    assert api.refresh(stranger.refresh_token).status == 200
    api.invalidate_sessions(sessions[0].access_token).refused(401, "INVALID_TOKEN")


def test_a_login_that_is_answered_while_all_sessions_wait_for_it_ends_too(
    api: Api, world: World, database_url: str
) -> None:
    mine = world.session()
    world.session(mine.id)
    with ThreadPoolExecutor(1) as pool:
        with DirectDatabase(database_url).transaction() as transaction:
            later = World(transaction, world.tokens).session(mine.id)
            ending = pool.submit(api.invalidate_sessions, mine.access_token)
            assert waits_for_a_lock(database_url, ending)
        assert ending.result().ok() == {}
    api.refresh(later.refresh_token).refused(401, "INVALID_TOKEN")


def test_only_end_users_have_sessions(api: Api, world: World) -> None:
    user = world.user()
    for bearer in (None, world.service().access_token, world.access_token(user, ["files:write"]), "x"):
        for answer in (api.sessions(bearer), api.invalidate_sessions(bearer)):
            assert answer.refused(401).header("WWW-Authenticate") == "Bearer"
    read = world.access_token(user, ["auth:read", "all:read"])
    api.invalidate_sessions(read).refused(401, "SCOPE_NOT_COVERED")


def test_an_extended_or_narrowed_token_sees_no_sessions(api: Api, world: World) -> None:
    user = world.session()
    extended = world.access_token(user.id, ["all:write"], extended_by="_a")
    narrowed = world.access_token(user.id, ["auth:write", "all:read", "all.x:write", "all:write:k!dg=="])
    for bearer in (extended, narrowed):
        api.sessions(bearer, "?page=0").refused(403, "SESSION_TOKEN_NEEDED")
        api.invalidate_sessions(bearer).refused(403, "SESSION_TOKEN_NEEDED")
    assert api.refresh(user.refresh_token).status == 200


def test_one_session_ends(api: Api, world: World) -> None:
    user = world.user()
    mine, other = world.session(user), world.session(user)
    listed = {item["current"]: item["id"] for item in api.sessions(mine.access_token).ok()["items"]}
    answer = api.invalidate_session(mine.access_token, listed[False])
    assert answer.ok() == {}
    assert not answer.cookies
    api.refresh(other.refresh_token).refused(401)
    assert api.refresh(mine.refresh_token).status == 200
    answer = api.invalidate_session(mine.access_token, listed[True])
    assert answer.ok() == {}
    assert (answer.cookies[COOKIE].value, answer.cookies[COOKIE]["max-age"]) == ("", "0")
    api.refresh(mine.refresh_token).refused(401)
    api.invalidate_session(mine.access_token, listed[True]).refused(401, "INVALID_TOKEN")


def test_only_ones_own_living_sessions_end_by_id(api: Api, world: World) -> None:
    user, service = world.session(), world.service("files:read")
    stranger, dead = world.session(), world.session(user.id, ttl=-1)
    delegated = api.extend(service.access_token, user.access_token, "files:read", refreshes=True).ok()
    own = claims(user.access_token)["publicSessionReference"]
    others = [
        claims(t)["publicSessionReference"]
        for t in (stranger.access_token, dead.access_token, delegated["accessToken"])
    ]
    spellings = [own.upper(), own.replace("-", ""), f"{{{own}}}", f"urn:uuid:{own}", f" {own}"]
    for session_id in (*others, *spellings, "x", "\0", "é", "0" * 5000, "00000000-0000-0000-0000-000000000000"):
        api.invalidate_session(user.access_token, session_id).refused(404, "NO_SUCH_SESSION")
    for token in (user.refresh_token, stranger.refresh_token, delegated["refreshToken"]):
        assert api.refresh(token).status == 200
    extended = world.access_token(user.id, extended_by="_a")
    api.invalidate_session(extended, own).refused(403, "SESSION_TOKEN_NEEDED")
    for bearer in (None, service.access_token, world.access_token(user.id, ["auth:read"])):
        api.invalidate_session(bearer, own).refused(401)
    assert api.refresh(user.refresh_token).status == 200


@pytest.mark.parametrize(
    ("earlier", "left"),
    [
        (0, 1),
        (SESSIONS - 2, SESSIONS - 1),
        (SESSIONS - 1, SESSIONS),
        (SESSIONS, SESSIONS),
        (SESSIONS + 1, SESSIONS),
        (SESSIONS + 500, SESSIONS),
    ],
)
def test_a_login_ends_the_oldest_sessions_beyond_the_bound(
    api: Api, world: World, database_url: str, earlier: int, left: int
) -> None:
    """Only live sessions count. Delegations, and the sessions of others, live on."""
    user, other = world.user(), world.session()
    tokens = add_sessions(database_url, user, earlier)
    add_sessions(database_url, user, 30, expires_in="-1 hour")
    [delegation] = add_delegations(database_url, user, world.service("files:read").id, 1)
    login = api.login(user, PASSWORD, world.login_service()).ok()
    assert api.sessions(login["accessToken"]).ok()["itemsInTotal"] == left
    ended = earlier + 1 - left
    for token in tokens[ended : ended + 2] + tokens[-2:] + [delegation, other.refresh_token, login["refreshToken"]]:
        assert api.refresh(token).status == 200
    for token in [*tokens[:2], *tokens[max(ended - 2, 0) : ended]][:ended]:
        api.refresh(token).refused(401, "INVALID_TOKEN")


def test_a_login_ends_no_more_sessions_than_it_has_time_for(api: Api, world: World, database_url: str) -> None:
    """Of 1.1.0, which had no bound, a person may have 100,000: each login ends as many as the bound."""
    user = world.user()
    tokens = add_sessions(database_url, user, 3 * SESSIONS)
    for left in (2 * SESSIONS + 1, SESSIONS + 2, SESSIONS, SESSIONS):
        world.session(user)
        assert len(world.db.many("session_list_of", id=user)) == left
        assert api.refresh(tokens[3 * SESSIONS - left + 4]).status == 200  # only older ones ended


def test_parallel_logins_keep_the_bound_and_lose_no_new_session(api: Api, world: World, database_url: str) -> None:
    user = world.user()
    add_sessions(database_url, user, SESSIONS)
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: world.session(user), range(24)))
    assert len(world.db.many("session_list_of", id=user)) == SESSIONS
    assert {api.refresh(session.refresh_token).status for session in made} == {200}


def test_a_login_waits_for_one_that_is_being_stored_and_counts_it(world: World, database_url: str) -> None:
    user = world.user()
    add_sessions(database_url, user, SESSIONS - 1)
    with ThreadPoolExecutor(1) as pool:
        with DirectDatabase(database_url).transaction() as transaction:
            World(transaction, world.tokens).session(user)
            second = pool.submit(world.session, user)
            wait_for_lock(database_url)
        second.result()
    assert len(world.db.many("session_list_of", id=user)) == SESSIONS
