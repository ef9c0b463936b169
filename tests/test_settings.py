"""What a session inherits from its database changes no answer."""

import secrets
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import psycopg
import pytest
from flask import Flask
from psycopg.conninfo import conninfo_to_dict

from auth.cli.common import DirectDatabase
from auth.cli.migrations import migrate
from auth.config import Config
from auth.core.limits import EXTENDED_REFRESH_TOKEN_DAYS, EXTENDED_TOKEN_MAX_MS
from auth.db import Pool

from .support.api import Api, any_address, request_class, send_to_app
from .support.command_line import CommandLine
from .support.databases import NewDatabase
from .support.lockouts import FAILURES
from .support.pgbouncer import MISSING, PROGRAM, pgbouncer
from .support.world import PASSWORD, QUICK_HASH, World, claims

# How a session writes and reads values as text. Behind PgBouncer nothing can be set, and they change no answer either.
TEXT = [
    {"DateStyle": "German, DMY", "IntervalStyle": "sql_standard"},
    {"DateStyle": "SQL, MDY", "IntervalStyle": "iso_8601"},
    {"DateStyle": "Postgres, DMY", "TimeZone": "America/New_York"},
    {"TimeZone": "<+0545>-5:45", "IntervalStyle": "postgres_verbose"},
    {
        "extra_float_digits": "-15", "bytea_output": "escape", "array_nulls": "off", "quote_all_identifiers": "on",
        "backslash_quote": "off", "transform_null_equals": "on", "xmlbinary": "hex", "client_min_messages": "debug1",
        "client_encoding": "LATIN1", "row_security": "off", "exit_on_error": "on",
    },
]  # fmt: skip
SET = [
    {"default_transaction_isolation": "serializable", "default_transaction_deferrable": "on"},
    {"default_transaction_isolation": "repeatable read"},
    {"standard_conforming_strings": "off", "escape_string_warning": "off"},
    {
        "enable_indexscan": "off", "enable_bitmapscan": "off", "enable_nestloop": "off", "enable_seqscan": "on",
        "enable_indexonlyscan": "off", "jit_above_cost": "0", "jit_optimize_above_cost": "0", "work_mem": "64kB",
        "random_page_cost": "1000000", "join_collapse_limit": "1", "from_collapse_limit": "1",
        "plan_cache_mode": "force_custom_plan",
    },
]  # fmt: skip

TIMEOUTS = dict.fromkeys(
    ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "idle_session_timeout"), "200"
)

Deploy = Callable[[Config], Flask]


@pytest.fixture(scope="module")
def own_url(postgres_url: str) -> Iterator[str]:
    with NewDatabase(postgres_url) as url:
        migrate(DirectDatabase(url))
        yield url


@pytest.fixture
def inherited(own_url: str, postgres_url: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a database whose sessions have these settings."""
    name = conninfo_to_dict(own_url)["dbname"]
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        for setting, value in request.param.items():
            connection.execute(f"ALTER DATABASE \"{name}\" SET {setting} = '{value}'")
        yield own_url
        connection.execute(f'ALTER DATABASE "{name}" RESET ALL')


def answers_are_as_ever(app: Flask, url: str) -> None:
    world, service_url = World(request_class(app).database, request_class(app).tokens), {"DATABASE_URL": url}
    api, user, login_service = Api(send_to_app(app, any_address())), world.user(), world.login_service(ttl=1000)
    service, guessed = world.service("files:read"), world.user(password_hash=QUICK_HASH)
    for _ in range(6):  # of which psycopg prepares the later ones
        tokens = api.login(user, PASSWORD, login_service).ok()
    access_token = api.refresh(tokens["refreshToken"]).ok()["accessToken"]
    assert api.sessions(access_token).ok()["itemsInTotal"] == 6
    delegation = api.extend(
        service.access_token, access_token, "files:read", expires_in=EXTENDED_TOKEN_MAX_MS, refreshes=True
    )
    limits = claims(api.refresh(delegation.ok()["refreshToken"]).ok()["accessToken"])
    assert limits["exp"] - limits["iat"] == EXTENDED_TOKEN_MAX_MS // 1000
    [listed] = api.delegations(access_token).ok()["items"]
    assert listed["expiresAt"] - listed["createdAt"] == EXTENDED_REFRESH_TOKEN_DAYS * 86_400_000
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "UPDATE refresh_token SET expires_at = now() + interval '60 s' WHERE extended_by IS NOT NULL"
        )
    limits = claims(api.refresh(delegation.json["refreshToken"]).ok()["accessToken"])
    assert 50 < limits["exp"] - limits["iat"] <= 60
    assert api.logout(delegation.json["refreshToken"]).status == 200
    jti, stranger = secrets.token_hex(8), Api(send_to_app(app, any_address()))
    with ThreadPoolExecutor(8) as pool:
        claimed = pool.map(lambda _: api.claim(service.access_token, jti).status, range(8))
        assert sorted(claimed) == [200] + [409] * 7
        guesses = pool.map(lambda _: stranger.login(guessed, "wrong", login_service).status, range(FAILURES + 3))
        assert sorted(guesses) == [401] * FAILURES + [429] * 3
    assert api.change_password(access_token, PASSWORD, "seventeen violet kettles").status == 200
    flask, name = CommandLine(service_url), f"_{secrets.token_hex(8)}"
    assert flask.json("services", "create", name, "--scope", "files:read")["scopes"] == ["files:read"]
    assert flask.json("sessions", "end", user) == {"id": user, "ended": 1}
    assert flask.json("db", "status")["pending"] == []


def names(settings: dict[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in list(settings.items())[:2])


@pytest.mark.parametrize("inherited", [*TEXT, *SET], indirect=True, ids=names)
def test_no_setting_of_the_database_changes_an_answer(inherited: str, config: Config, deploy: Deploy) -> None:
    answers_are_as_ever(deploy(replace(config, database_url=inherited)), inherited)


@pytest.mark.parametrize("inherited", [TIMEOUTS], indirect=True)
def test_commands_and_transactions_have_no_timeout_but_ours(inherited: str) -> None:
    shared, direct = Pool(inherited), DirectDatabase(inherited)
    with direct.transaction() as transaction, shared.lease(True) as connection, connection.transaction():
        with transaction.connection(True) as direct_connection:
            direct_connection.execute("SELECT pg_sleep(0.3)")
        connection.execute("SELECT pg_sleep(0.3)")
        time.sleep(0.3)
    for database in direct, shared:
        assert database.one("migration_latest")
    shared.close()


@pytest.mark.parametrize("inherited", [{"synchronous_commit": "off"}], indirect=True)
def test_a_commit_is_durable(inherited: str) -> None:
    """Otherwise a crash could take back a claim that was acknowledged."""
    database = Pool(inherited)
    with database.lease(True) as connection:
        assert connection.execute("SHOW synchronous_commit").fetchall() == [{"synchronous_commit": "on"}]
    database.close()


@pytest.mark.skipif(PROGRAM is None, reason=MISSING)
@pytest.mark.parametrize("inherited", TEXT, indirect=True, ids=names)
def test_no_format_of_text_changes_an_answer_behind_pgbouncer(inherited: str, config: Config, deploy: Deploy) -> None:
    with pgbouncer(inherited) as url:
        answers_are_as_ever(deploy(replace(config, database_url=url)), url)


def test_a_migration_does_not_depend_on_how_strings_are_read(postgres_url: str) -> None:
    """A constraint with a backslash in it would otherwise become another one."""
    with NewDatabase(postgres_url) as url, psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f'ALTER DATABASE "{conninfo_to_dict(url)["dbname"]}" SET standard_conforming_strings = off')
        migrate(DirectDatabase(url))
        with pytest.raises(psycopg.errors.CheckViolation):
            connection.execute("INSERT INTO principal (id, role, principal_type) VALUES ('a', 'SERVICE', 'service')")
        columns = "id, role, principal_type, first_names, last_name"
        connection.execute(f"INSERT INTO principal ({columns}) VALUES ('ab', 'USER', 'password', 'A', 'B')")
