"""No call accepts an access token whose grant has ended, and no delegation outlives its source."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from flask import Flask as App

from auth.cli.common import DirectDatabase
from auth.cli.migrations import migrate
from auth.config import Config
from auth.core import refresh_tokens
from auth.core.limits import ACCESS_TOKEN_MS, DELEGATIONS, EXTENDED_TOKEN_MAX_MS, SESSIONS
from auth.core.models import Role
from auth.http.rpc import PUBLIC, RPCS

from .support.api import Answer, Api, request_class, send_to_app
from .support.command_line import CommandLine
from .support.databases import NewDatabase
from .support.rows import add_delegations, add_sessions
from .support.world import ORIGIN, PASSWORD, Stored, World, claims

REFERENCE = "00000000-0000-0000-0000-000000000000"
NEW_PASSWORD = "an altogether different phrase"

ENDINGS = ["logout", "webLogout", "bulkInvalidate", "invalidateSession", "invalidateSessions", "set-password",
           "disable", "disable and enable", "delete", "delete and create"]  # fmt: skip


def end(name: str, api: Api, world: World, flask: CommandLine, user: Stored) -> None:
    """Ends the user's session in that way."""
    reference = claims(user.access_token)["publicSessionReference"]
    create = ["users", "create", user.id, "--role", "USER", "--first-names", "A", "--last-name", "B"]
    calls: dict[str, Callable[[], Any]] = {
        "logout": lambda: api.logout(user.refresh_token).ok(),
        "webLogout": lambda: api.web_logout(user.refresh_token, user.csrf, ORIGIN).ok(),
        "bulkInvalidate": lambda: api.bulk_invalidate(world.service().access_token, [user.refresh_token]).ok(),
        "invalidateSession": lambda: api.invalidate_session(user.access_token, reference).ok(),
        "invalidateSessions": lambda: api.invalidate_sessions(user.access_token).ok(),
        "set-password": lambda: flask.json("users", "set-password", user.id, "--password-stdin", stdin=NEW_PASSWORD),
        "disable": lambda: flask.json("users", "disable", user.id),
        "enable": lambda: flask.json("users", "enable", user.id),
        "delete": lambda: flask.json("users", "delete", user.id),
        "create": lambda: flask.json(*create, "--password-stdin", stdin=NEW_PASSWORD),
    }
    for part in name.split(" and "):
        calls[part]()


def calls_with(api: Api, world: World, token: str) -> dict[str, Callable[[], Answer]]:
    """Every call of a person that takes an access token, with that one."""
    service = world.service("files:read")
    return {
        "listUserSessions": lambda: api.sessions(token),
        "requestOneTimeTokenWithAudience": lambda: api.request_one_time_token(token, "files:read"),
        "tokenExtension": lambda: api.extend(service.access_token, token, "files:read"),
        "tokenExtension, stored": lambda: api.extend(service.access_token, token, "files:read", refreshes=True),
        "listDelegations": lambda: api.delegations(token),
        "invalidateSession": lambda: api.invalidate_session(token, REFERENCE),
        "invalidateDelegation": lambda: api.invalidate_delegation(token, REFERENCE),
        "invalidateDelegations": lambda: api.invalidate_delegations(token),
        "changePassword": lambda: api.change_password(token, PASSWORD, NEW_PASSWORD),
        "twofactor.createCredentials": lambda: api.create_credentials(token),
        "twofactor.twoFactorStatus": lambda: api.two_factor_status(token),
        "twofactor.removeCredentials": lambda: api.remove_credentials(token, PASSWORD, "123456"),
        "sla.find": lambda: api.find_sla(token),
        "sla.accept": lambda: api.accept_sla(token, 0),
        "createPersonalToken": lambda: api.create_personal_token(token, "files:read"),
        "oauth.verify": lambda: api.verify(token),
        "invalidateSession, no id": lambda: api.invalidate_session(token, "x"),
        "invalidateDelegation, no id": lambda: api.invalidate_delegation(token, "x"),
        "invalidateSessions": lambda: api.invalidate_sessions(token),
    }


def test_every_call_with_an_access_token_is_tried_after_its_end(api: Api, world: World) -> None:
    of_services = {"bulkInvalidate", "claim"}  # see test_the_bearer_of_a_service_ends_too
    tried = {name.partition(",")[0] for name in calls_with(api, world, "")} | of_services
    expected = {name for name, rpc in RPCS.items() if rpc.roles != PUBLIC or "access_token" in rpc.models}
    assert tried == expected, "each RPC that takes an access token needs a line here"


@pytest.mark.parametrize("ending", ENDINGS)
def test_an_access_token_ends_with_its_session(api: Api, world: World, flask: CommandLine, ending: str) -> None:
    user = world.session()
    calls = calls_with(api, world, user.access_token)
    for name, call in list(calls.items())[:4]:
        assert call().status == 200, name
    end(ending, api, world, flask, user)
    for name, call in calls.items():
        assert call().status == 401, name
        call().refused(401, "INVALID_TOKEN")


def test_a_token_of_the_deleted_user_ends_no_session_of_the_new_one(
    api: Api, world: World, flask: CommandLine
) -> None:  # fmt: skip
    old = world.session()
    plain = world.access_token(old.id)
    end("delete and create", api, world, flask, old)
    new = api.login(old.id, NEW_PASSWORD, world.login_service()).ok()
    reference = claims(new["accessToken"])["publicSessionReference"]
    for token in (old.access_token, plain):
        api.invalidate_session(token, reference).refused(401, "INVALID_TOKEN")
        api.invalidate_sessions(token).refused(401, "INVALID_TOKEN")
    assert api.refresh(new["refreshToken"]).status == 200


def test_an_expired_session_ends_its_access_tokens(api: Api, world: World, database_url: str) -> None:
    user = world.session()
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE refresh_token SET expires_at = now() WHERE principal_id = %s", [user.id])
    for name, call in calls_with(api, world, user.access_token).items():
        assert call().status == 401, name


@pytest.mark.parametrize("ending", ["services delete", "logout", "bulkInvalidate"])
def test_the_bearer_of_a_service_ends_too(api: Api, world: World, flask: CommandLine, ending: str) -> None:
    service, user = world.service("files:read"), world.session()
    bearer = api.refresh(service.refresh_token).ok()["accessToken"]
    calls: list[Callable[[], Answer]] = [
        lambda: api.claim(bearer, "x" * 30 + service.id),
        lambda: api.extend(bearer, user.access_token, "files:read"),
        lambda: api.extend(bearer, user.access_token, "files:read", refreshes=True),
        lambda: api.request_one_time_token(bearer, "files:read"),
        lambda: api.bulk_invalidate(bearer, [user.refresh_token]),
    ]
    assert all(call().status == 200 for call in calls[:4])
    if ending == "services delete":
        flask.json("services", "delete", service.id)
    elif ending == "logout":
        api.logout(service.refresh_token).ok()
    else:
        api.bulk_invalidate(world.service().access_token, [service.refresh_token]).ok()
    for call in calls:
        call().refused(401, "INVALID_TOKEN")
    assert api.refresh(user.refresh_token).status == 200


@pytest.mark.parametrize("ending", ["set-password", "disable and enable"])
def test_an_extension_that_is_not_stored_ends_with_all_tokens(
    api: Api, world: World, flask: CommandLine, ending: str
) -> None:  # fmt: skip
    service, user = world.service("files:read", "auth:write"), world.session()
    token = api.extend(service.access_token, user.access_token, "files:read", "auth:write").ok()["accessToken"]
    assert "publicSessionReference" not in claims(token)
    assert api.request_one_time_token(token, "files:read").status == 200
    api.logout(user.refresh_token).ok()
    assert api.request_one_time_token(token, "files:read").status == 200  # a job goes on
    end(ending, api, world, flask, user)
    api.request_one_time_token(token, "files:read").refused(401, "INVALID_TOKEN")
    api.extend(service.access_token, token, "files:read").refused(401, "INVALID_TOKEN")
    if ending == "set-password":
        time.sleep(1.1)  # a token of the same second has ended too
        login = api.login(user.id, NEW_PASSWORD, world.login_service()).ok()
        token = api.extend(service.access_token, login["accessToken"], "files:read", "auth:write").ok()["accessToken"]
        assert api.request_one_time_token(token, "files:read").status == 200


def test_a_token_of_the_second_of_the_ending_has_ended(api: Api, world: World, database_url: str) -> None:
    user = world.user()
    token = world.access_token(user)
    issued_at = claims(token)["iat"]
    with psycopg.connect(database_url, autocommit=True) as connection:
        for seconds, status in ((0.0, 401), (0.9, 401), (-0.1, 200), (1.0, 401)):
            connection.execute(
                "UPDATE principal SET tokens_ended_at = to_timestamp(%s) WHERE id = %s", [issued_at + seconds, user]
            )
            assert api.sessions(token).status == status, seconds


NOTE = """
CREATE TABLE noted (id text, what text, transaction bigint DEFAULT txid_current());
CREATE FUNCTION note_time() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN INSERT INTO noted VALUES (NEW.id, 'time'); RETURN NULL; END
$$;
CREATE FUNCTION note_end() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN INSERT INTO noted VALUES (OLD.principal_id, 'end'); RETURN NULL; END
$$;
CREATE TRIGGER note_time AFTER UPDATE OF tokens_ended_at ON principal FOR EACH ROW EXECUTE FUNCTION note_time();
CREATE TRIGGER note_end AFTER DELETE ON refresh_token FOR EACH ROW EXECUTE FUNCTION note_end();
"""


def test_the_time_of_an_ending_is_noted_once_more_after_its_commit(
    server_url: str, config: Config, deploy: Callable[[Config], App], address: str
) -> None:
    """An extension without a refresh token may read the tokens before that commit, and get its iat after the time that
    the ending itself noted.
    """
    with NewDatabase(server_url) as url, psycopg.connect(url, autocommit=True) as connection:
        migrate(DirectDatabase(url))
        connection.execute(NOTE)
        app, flask = deploy(replace(config, database_url=url)), CommandLine({"DATABASE_URL": url})
        api, world = Api(send_to_app(app, address)), World(DirectDatabase(url), request_class(app).tokens)
        service, phrase = world.service("files:read"), {"stdin": NEW_PASSWORD}
        endings: dict[str, Callable[[Stored], object]] = {
            "invalidateDelegations": lambda user: api.invalidate_delegations(user.access_token).ok(),
            "changePassword": lambda user: api.change_password(user.access_token, PASSWORD, NEW_PASSWORD).ok(),
            "resetPassword": lambda user: api.reset_password(
                flask.json("users", "reset-password", user.id)["resetToken"], NEW_PASSWORD
            ).ok(),
            "set-password": lambda user: flask.json("users", "set-password", user.id, "--password-stdin", **phrase),
            "disable": lambda user: flask.json("users", "disable", user.id),
            "enable": lambda user: flask.json("users", "enable", user.id),
            "sessions end --delegations": lambda user: flask.json("sessions", "end", user.id, "--delegations"),
            "sessions end --everyone": lambda _: flask.json("sessions", "end", "--everyone"),
        }
        for name, end in endings.items():
            user = world.session()
            api.extend(service.access_token, user.access_token, "files:read", refreshes=True).ok()
            end(user)
            rows = connection.execute("SELECT what, max(transaction) FROM noted WHERE id = %s GROUP BY what", [user.id])
            latest: dict[str, int] = dict(rows.fetchall())
            assert latest["time"] > latest["end"], name


def delegation_of(database_url: str, refresh_token: str) -> dict[str, float]:
    """When the stored delegation was made and when it expires, in seconds since the epoch."""
    with psycopg.connect(database_url) as connection:
        row = connection.execute(
            "SELECT extract(epoch FROM created_at), extract(epoch FROM expires_at) FROM refresh_token "
            "WHERE token_hash = %s",
            [refresh_tokens.digest(refresh_token)],
        ).fetchone()
    assert row is not None
    return {"created": float(row[0]), "expires": float(row[1])}


def expire_in(database_url: str, refresh_token: str, seconds: float) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "UPDATE refresh_token SET expires_at = now() + make_interval(secs => %s) WHERE token_hash = %s",
            [seconds, refresh_tokens.digest(refresh_token)],
        )


def test_an_extension_that_is_not_stored_does_not_renew_itself(api: Api, world: World, database_url: str) -> None:
    """A service extends its own extension again and again: each ends with the first one."""
    service, user = world.service("files:read"), world.session()
    token = api.extend(service.access_token, user.access_token, "files:read", expires_in=30_000).ok()["accessToken"]
    end_of_first = claims(token)["exp"]
    for _ in range(3):
        token = api.extend(service.access_token, token, "files:read", expires_in=EXTENDED_TOKEN_MAX_MS).ok()[
            "accessToken"
        ]
        assert claims(token)["exp"] <= end_of_first
    stored = api.extend(
        service.access_token, token, "files:read", expires_in=EXTENDED_TOKEN_MAX_MS, refreshes=True
    ).ok()
    assert delegation_of(database_url, stored["refreshToken"])["expires"] <= end_of_first
    for minted in (stored["accessToken"], api.refresh(stored["refreshToken"]).ok()["accessToken"]):
        assert claims(minted)["exp"] <= end_of_first


def test_a_service_cannot_prolong_the_extension_of_another(api: Api, world: World) -> None:
    one, other, user = world.service("files:read"), world.service("files:read"), world.session()
    token = api.extend(one.access_token, user.access_token, "files:read", expires_in=1000).ok()["accessToken"]
    time.sleep(1.1)  # the leeway still lets it in
    for refreshes in (False, True):
        api.extend(
            other.access_token, token, "files:read", expires_in=EXTENDED_TOKEN_MAX_MS, refreshes=refreshes
        ).refused(401, "INVALID_TOKEN")


def test_a_token_that_is_made_from_a_delegation_expires_with_it(api: Api, world: World, database_url: str) -> None:
    one, other, user = world.service("files:read", "auth:write"), world.service("files:read"), world.session()
    first = api.extend(
        one.access_token,
        user.access_token,
        "files:read",
        "auth:write",
        expires_in=EXTENDED_TOKEN_MAX_MS,
        refreshes=True,
    ).ok()
    expire_in(database_url, first["refreshToken"], 20)
    latest = delegation_of(database_url, first["refreshToken"])["expires"]
    token = api.refresh(first["refreshToken"]).ok()["accessToken"]
    made = [
        api.request_one_time_token(token, "files:read").ok()["accessToken"],
        api.extend(other.access_token, token, "files:read", expires_in=EXTENDED_TOKEN_MAX_MS).ok()["accessToken"],
    ]
    stored = api.extend(other.access_token, token, "files:read", expires_in=EXTENDED_TOKEN_MAX_MS, refreshes=True).ok()
    made += [token, stored["accessToken"], api.refresh(stored["refreshToken"]).ok()["accessToken"]]
    assert [claims(each)["exp"] for each in made if claims(each)["exp"] > latest] == []
    assert delegation_of(database_url, stored["refreshToken"])["expires"] <= latest
    expire_in(database_url, first["refreshToken"], -1)
    api.refresh(first["refreshToken"]).refused(401, "INVALID_TOKEN")
    api.request_one_time_token(token, "files:read").refused(401, "INVALID_TOKEN")


def test_a_delegation_ends_all_that_were_made_from_it(api: Api, world: World, flask: CommandLine) -> None:
    """Stored or not, through any number of services; the session and other delegations go on."""
    user, services = world.session(), [world.service("files:read", "auth:write") for _ in range(3)]
    scopes = ("files:read", "auth:write")

    def extend(number: int, token: str, refreshes: bool) -> dict[str, Any]:
        extended = api.extend(services[number].access_token, token, *scopes, refreshes=refreshes).ok()
        assert isinstance(extended, dict)
        return extended

    other = extend(0, user.access_token, True)
    first = extend(0, user.access_token, True)
    second = extend(1, first["accessToken"], True)
    third = extend(2, second["accessToken"], True)
    between = extend(1, first["accessToken"], False)
    after = extend(2, between["accessToken"], True)
    living = [token["refreshToken"] for token in (first, second, third, after)]
    assert {api.refresh(token).status for token in living} == {200}
    assert api.logout(first["refreshToken"]).status == 200
    for token in living:
        api.refresh(token).refused(401, "INVALID_TOKEN")
    for extended in (first, second, third, between, after):
        api.request_one_time_token(extended["accessToken"], "files:read").refused(401, "INVALID_TOKEN")
    assert {api.refresh(token).status for token in (user.refresh_token, other["refreshToken"])} == {200}


def test_a_job_goes_on_when_its_owner_logs_out(api: Api, world: World) -> None:
    service, user = world.service("files:read"), world.session()
    extended = api.extend(service.access_token, user.access_token, "files:read", refreshes=True).ok()
    api.invalidate_sessions(user.access_token).ok()
    assert api.refresh(extended["refreshToken"]).status == 200


def test_a_narrower_policy_narrows_delegations_at_their_next_refresh(
    api: Api, world: World, flask: CommandLine
) -> None:  # fmt: skip
    service, user = world.service("files:write", "jobs:read"), world.session()
    extended = api.extend(service.access_token, user.access_token, "files.list:read", "jobs:read", refreshes=True).ok()

    def scopes() -> list[str]:
        found = claims(api.refresh(extended["refreshToken"]).ok()["accessToken"])["aud"]
        assert isinstance(found, list)
        return found

    assert scopes() == ["files.list:read", "jobs:read"]
    flask.json("services", "scopes", service.id, "--remove", "files:write")
    assert scopes() == ["jobs:read"]
    flask.json("services", "scopes", service.id, "--add", "files.list:read", "--remove", "jobs:read")
    assert scopes() == ["files.list:read"]
    flask.json("services", "scopes", service.id, "--remove", "files.list:read")
    api.refresh(extended["refreshToken"]).refused(401, "INVALID_TOKEN")
    flask.json("services", "scopes", service.id, "--add", "files:write", "--add", "jobs:read")
    assert scopes() == ["files.list:read", "jobs:read"]


def test_only_tokens_of_people_are_extended(api: Api, world: World) -> None:
    one, other = world.service("files:read"), world.service("files:read")
    for token in (other.access_token, api.refresh(other.refresh_token).ok()["accessToken"]):
        for refreshes in (False, True):
            api.extend(one.access_token, token, "files:read", refreshes=refreshes).refused(401, "INVALID_TOKEN")


def test_an_extended_token_does_not_extend(api: Api, world: World) -> None:
    """Else the chain would not name the service that holds the bearer."""
    service, admin, user = world.service("files:read", "auth:write"), world.user(Role.ADMIN), world.session()
    extended = api.extend(service.access_token, world.session(admin).access_token, "auth:write", refreshes=True).ok()[
        "accessToken"
    ]
    api.extend(extended, user.access_token, "files:read").refused(401, "INVALID_TOKEN")


SERVICES = 50  # that act for one person: more than any deployment has shown


@pytest.mark.parametrize("shape", ["", "star", "eights"])
@pytest.mark.parametrize("ending", ["invalidateSessions", "invalidateDelegations", "changePassword", "of the first"])
def test_all_that_the_bounds_allow_ends_within_the_time_of_a_statement(
    api: Api, world: World, database_url: str, shape: str, ending: str
) -> None:
    """As many as there may be, for 50 services: none, all or eight deep made from the first one."""
    user, service = world.session(), world.service("files:read")
    sessions = add_sessions(database_url, user.id, SESSIONS - 1)
    delegations = add_delegations(database_url, user.id, service.id, SERVICES * DELEGATIONS, shape)
    calls: dict[str, Callable[[], Answer]] = {
        "invalidateSessions": lambda: api.invalidate_sessions(user.access_token),
        "invalidateDelegations": lambda: api.invalidate_delegations(user.access_token),
        "changePassword": lambda: api.change_password(user.access_token, PASSWORD, NEW_PASSWORD),
        "of the first": lambda: api.logout(delegations[0]),
    }
    started = time.monotonic()
    calls[ending]().ok()
    print(f"{time.monotonic() - started:.2f} s")
    ends = (sessions[0], sessions[-1], user.refresh_token, delegations[0], delegations[-1])
    left = [token for token in ends if api.refresh(token).status == 200]
    expected = {
        "invalidateSessions": [delegations[0], delegations[-1]],
        "invalidateDelegations": [sessions[0], sessions[-1], user.refresh_token],
        "changePassword": [user.refresh_token],
        "of the first": [sessions[0], sessions[-1], user.refresh_token] + ([] if shape else [delegations[-1]]),
    }
    assert left == expected[ending]


@pytest.mark.parametrize("ending", ["invalidateDelegations", "changePassword", "logout of the first"])
def test_a_chain_of_a_thousand_from_an_earlier_release_ends(
    api: Api, world: World, database_url: str, ending: str
) -> None:  # fmt: skip
    user, service = world.session(), world.service("files:read")
    chain = add_delegations(database_url, user.id, service.id, 1000, "chain")
    calls: dict[str, Callable[[], Answer]] = {
        "invalidateDelegations": lambda: api.invalidate_delegations(user.access_token),
        "changePassword": lambda: api.change_password(user.access_token, PASSWORD, NEW_PASSWORD),
        "logout of the first": lambda: api.logout(chain[0]),
    }
    started = time.monotonic()
    calls[ending]().ok()
    assert time.monotonic() - started < 5  # one statement; a batch for each link took much longer
    for token in (chain[0], chain[500], chain[-1]):
        api.refresh(token).refused(401, "INVALID_TOKEN")


@pytest.mark.parametrize(("lifetime_ms", "seconds"), [(600_000, 600), (1, 1), (1_001, 2), (90_500, 91)])
def test_a_lifetime_is_rounded_up_to_whole_seconds(api: Api, world: World, lifetime_ms: int, seconds: int) -> None:
    service, user = world.service("files:read"), world.session()
    for _ in range(3):
        token = api.extend(service.access_token, user.access_token, "files:read", expires_in=lifetime_ms).ok()
        payload = claims(token["accessToken"])
        assert payload["exp"] - payload["iat"] == seconds


def test_a_login_gives_the_lifetime_of_access_tokens(api: Api, world: World) -> None:
    tokens = api.login(world.user(), PASSWORD, world.login_service()).ok()
    for token in (tokens["accessToken"], api.refresh(tokens["refreshToken"]).ok()["accessToken"]):
        assert claims(token)["exp"] - claims(token)["iat"] == ACCESS_TOKEN_MS // 1000


def test_a_service_gets_the_lifetime_of_access_tokens(api: Api, world: World, flask: CommandLine) -> None:
    created = flask.json("services", "create", world.service().id + "-ten")
    token = api.refresh(created["refreshToken"]).ok()["accessToken"]
    assert claims(token)["exp"] - claims(token)["iat"] == ACCESS_TOKEN_MS // 1000
