"""When a session was last used, and how long it may stay unused."""

from typing import Any

import psycopg
import pytest

from auth.core.limits import IDLE_TIMEOUT_MINIMUM_SECONDS, USE_SECONDS
from auth.core.refresh_tokens import digest

from .support.api import Api
from .support.command_line import CommandLine
from .support.world import ORIGIN, PASSWORD, World

HOUR = 3600
IDLE = IDLE_TIMEOUT_MINIMUM_SECONDS


def ago(database_url: str, refresh_token: str, seconds: int) -> None:
    """Make everything in the token's row that long ago."""
    columns = ("created_at", "last_used_at", "expires_at", "ends_at")
    changes = ", ".join(f"{column} = {column} - make_interval(secs => %(seconds)s)" for column in columns)
    with psycopg.connect(database_url) as connection:
        connection.execute(
            f"UPDATE refresh_token SET {changes} WHERE token_hash = %(hash)s",
            {"seconds": seconds, "hash": digest(refresh_token)},
        )


def row(database_url: str, refresh_token: str) -> tuple[Any, ...]:
    with psycopg.connect(database_url) as connection:
        found = connection.execute(
            "SELECT xmin, extract(epoch FROM expires_at - now())::float FROM refresh_token WHERE token_hash = %s",
            [digest(refresh_token)],
        ).fetchone()
    assert found is not None
    return found


def test_a_session_was_used_when_it_last_refreshed(api: Api, world: World, database_url: str) -> None:
    user = world.session()
    created, used = (api.sessions(user.access_token).ok()["items"][0][name] for name in ("createdAt", "lastUsedAt"))
    assert created == used
    ago(database_url, user.refresh_token, HOUR)
    [session] = api.sessions(user.access_token).ok()["items"]
    assert session["lastUsedAt"] == session["createdAt"]
    assert abs(session["createdAt"] - (created - HOUR * 1000)) <= 1
    assert api.web_refresh(user.refresh_token, user.csrf, ORIGIN).status == 200
    [session] = api.sessions(user.access_token).ok()["items"]
    assert 0 <= session["lastUsedAt"] - created < 60_000


@pytest.mark.parametrize(("seconds", "writes"), [(0, False), (USE_SECONDS - 10, False), (USE_SECONDS + 10, True)])
def test_a_refresh_writes_at_most_once_in_a_time(
    api: Api, world: World, database_url: str, seconds: int, writes: bool
) -> None:
    user = world.session()
    ago(database_url, user.refresh_token, seconds)
    before = row(database_url, user.refresh_token)
    assert api.refresh(user.refresh_token).status == 200
    after = row(database_url, user.refresh_token)
    assert (after[0] != before[0]) == writes
    for _ in range(3):
        assert api.refresh(user.refresh_token).status == 200
    assert row(database_url, user.refresh_token)[0] == after[0]


def test_a_session_expires_when_it_is_idle(api: Api, world: World, database_url: str) -> None:
    user, service = world.user(), world.login_service(idle=IDLE)
    tokens = api.login(user, PASSWORD, service).ok()
    refresh_token = tokens["refreshToken"]
    for _ in range(3):
        ago(database_url, refresh_token, IDLE - 10)
        assert api.refresh(refresh_token).status == 200
        assert IDLE - 10 < row(database_url, refresh_token)[1] <= IDLE
    ago(database_url, refresh_token, IDLE + 1)
    api.refresh(refresh_token).refused(401, "INVALID_TOKEN")
    api.sessions(tokens["accessToken"]).refused(401, "INVALID_TOKEN")
    other = world.session(user)
    assert api.sessions(other.access_token).ok()["itemsInTotal"] == 1


def test_use_does_not_prolong_a_session_beyond_its_end(api: Api, world: World, database_url: str) -> None:
    tokens = api.login(world.user(), PASSWORD, world.login_service(ttl=IDLE + 400, idle=IDLE)).ok()
    refresh_token = tokens["refreshToken"]
    assert IDLE - 10 < row(database_url, refresh_token)[1] <= IDLE
    ago(database_url, refresh_token, IDLE - 100)
    assert api.refresh(refresh_token).status == 200
    assert 490 < row(database_url, refresh_token)[1] <= 500
    ago(database_url, refresh_token, 501)
    api.refresh(refresh_token).refused(401, "INVALID_TOKEN")


def test_a_short_lifetime_comes_before_the_idle_timeout(api: Api, world: World, database_url: str) -> None:
    answer = api.login(world.user(), PASSWORD, world.login_service(ttl=60, idle=IDLE))
    assert 50 < row(database_url, answer.ok()["refreshToken"])[1] <= 60


def test_without_an_idle_timeout_nothing_expires_by_use(api: Api, world: World, database_url: str) -> None:
    user = world.session(ttl=1000)
    ago(database_url, user.refresh_token, 500)
    assert api.refresh(user.refresh_token).status == 200
    assert 490 < row(database_url, user.refresh_token)[1] <= 500


def test_idle_timeouts_of_login_services(flask: CommandLine, world: World) -> None:
    name = f"{world.login_service()}-idle"
    create = ["login-services", "create", name, "--endpoint", "https://a.example.org/", "--mode", "WEB"]
    for seconds in ("0", str(IDLE - 1), str(-IDLE), "x", "9999999999"):
        flask.fails(*create, "--idle-timeout", seconds)
    flask.json(*create, "--idle-timeout", str(IDLE), "--refresh-token-ttl", "3600")
    [listed] = [each for each in flask.json("login-services", "list") if each["name"] == name]
    assert (listed["idle_timeout_seconds"], listed["refresh_token_ttl_seconds"]) == (IDLE, 3600)
    assert f"3600 s, {IDLE} s idle" in flask.run("login-services", "list").stdout
