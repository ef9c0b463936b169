"""The rule of docs/operations.md for migrations: the previous release works on, and no request waits for a second."""

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib import import_module
from subprocess import CalledProcessError
from typing import Any
from unittest.mock import patch

import psycopg
import pytest
from flask import Flask

from auth.cli import migrations
from auth.cli.common import DirectDatabase
from auth.cli.migrations import Migration, all_migrations, migrate
from auth.config import Config
from auth.core.limits import DELEGATIONS, SESSIONS
from auth.core.passwords import hash_password
from dev.bench import rows

from .support.api import Api, send_to_app
from .support.command_line import CommandLine
from .support.copies import wait_until
from .support.databases import NewDatabase
from .support.plans import PLACEHOLDER
from .support.releases import previous_statements
from .support.rows import add_delegations, add_sessions
from .support.servers import PROJECT
from .support.world import PASSWORD

pytestmark = pytest.mark.xdist_group("migrations")

Database = psycopg.Connection[Any]
SMALL = {"login_service", "service_scope"}  # some dozens of rows: they may be read under a lock

COLUMNS = """
    SELECT relname, attname, format_type(atttypid, atttypmod), attnotnull, atthasdef OR attidentity <> ''
    FROM pg_attribute
    JOIN pg_class ON pg_class.oid = attrelid
    WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND attnum > 0 AND NOT attisdropped
"""
# The constraints that refuse rows, with their columns.
CONDITIONS = """
    SELECT conname, conrelid::regclass::text, attname
    FROM pg_constraint
    JOIN pg_attribute ON attrelid = conrelid AND attnum = ANY (conkey)
    WHERE contype IN ('c', 'f')
    UNION
    SELECT indexrelid::regclass::text, indrelid::regclass::text, attname
    FROM pg_index
    JOIN pg_attribute ON attrelid = indrelid AND attnum = ANY (indkey)
    WHERE indisunique
"""
# The tables that this transaction keeps others from writing to.
BLOCKED = """
    SELECT DISTINCT relation::regclass::text
    FROM pg_locks
    WHERE pid = pg_backend_pid() AND locktype = 'relation'
      AND mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
"""
# How many rows this transaction, and some before it, have read and changed.
WORK = """
    SELECT relname, seq_tup_read + coalesce(idx_tup_fetch, 0), n_tup_ins + n_tup_upd + n_tup_del
    FROM pg_stat_xact_user_tables
"""
# By person the sessions, by service the delegations.
KEPT = "SELECT coalesce(extended_by, principal_id), count(*)::integer FROM refresh_token GROUP BY 1"
FILES = "SELECT relname, relfilenode FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"


def released() -> int:
    """The previous release's last migration, by docs/CHANGELOG.md, which names the newest one too."""
    named = re.search(r"`flask db migrate` \((\d{4}) to (\d{4})\)", (PROJECT / "docs/CHANGELOG.md").read_text())
    assert named is not None
    assert int(named[2]) == all_migrations()[-1].version
    return int(named[1]) - 1


def migrate_to_previous(url: str) -> None:
    """Make the schema of the previous release."""
    known = all_migrations()[: released()]
    with patch.object(migrations, "all_migrations", lambda: known):
        assert len(migrate(DirectDatabase(url))) == len(known)


@pytest.fixture(scope="module")
def database(postgres_url: str) -> Iterator[Database]:
    """A database of the previous release, with rows in every table."""
    with NewDatabase(postgres_url) as url, psycopg.connect(url, autocommit=True) as connection:
        migrate_to_previous(url)
        rows.fill(url, 1000)
        connection.execute("INSERT INTO login_limit (key, expires_at) VALUES (sha256('a'), now())")
        yield connection


def breaks(database: Database, *texts: str) -> set[str]:
    """How these migrations break the rule."""
    columns, conditions = set(database.execute(COLUMNS)), set(database.execute(CONDITIONS))
    old = {(table, name) for table, name, *_ in columns}
    tables = {table for table, _ in old}
    problems = set[str]().union(*(apply(database, text, tables) for text in texts))
    now = set(database.execute(COLUMNS))
    problems |= {f"{table}.{name} has changed" for table, name, *_ in columns - now}
    for table, name, _, not_null, has_default in now - columns:
        if table in tables and (table, name) not in old and not_null and not has_default:
            problems.add(f"{table}.{name} is not known to the previous release")
    new = set(database.execute(CONDITIONS)) - conditions
    return problems | {
        f"{name} is a new condition on {table}.{column}"
        for name, table, column in new
        & {(name, table, column) for name, table, column in new if (table, column) in old}
    }


def apply(database: Database, text: str, tables: set[str]) -> set[str]:
    """Apply a migration as the runner does; how its locks on these tables break the rule."""
    if "CONCURRENTLY" in text:
        statements = text.strip().removesuffix(";").split(";\n")
        if mixed := {f"not CONCURRENTLY: {each}" for each in statements if "CONCURRENTLY" not in each}:
            return mixed
        for statement in statements * 2:  # as after an interruption
            database.execute(statement.encode())
        return set()
    files = dict(database.execute(FILES).fetchall())
    with database.transaction():
        before = set(database.execute(WORK))
        database.execute(text.encode())
        busy = tables - SMALL
        worked = [(name, read, changed) for name, read, changed in set(database.execute(WORK)) - before if name in busy]
        blocked = {name for (name,) in database.execute(BLOCKED)} & tables
        rewritten = {f"{name} is rewritten" for name, _ in files.items() - set(database.execute(FILES))}
    earlier = {name: changed for name, _, changed in before}
    problems = {f"{name} is read under a lock" for name, _, _ in worked if name in blocked}
    problems |= {f"rows of {name} are locked" for name, _, changed in worked if changed > earlier.get(name, 0)}
    return problems | rewritten | ({f"more than one lock: {blocked}"} if len(blocked) > 1 else set())


def test_the_migrations_since_the_previous_release_follow_the_rule(database: Database) -> None:
    assert breaks(database, *(migration.sql for migration in all_migrations()[released() :])) == set()


@pytest.mark.parametrize(
    "text",
    [
        "ALTER TABLE refresh_token ALTER COLUMN access_token_lifetime_ms TYPE numeric",
        "ALTER TABLE refresh_token ALTER COLUMN expires_at SET NOT NULL",
        "ALTER TABLE refresh_token ALTER COLUMN created_at DROP DEFAULT",
        "ALTER TABLE refresh_token ADD COLUMN late uuid DEFAULT gen_random_uuid()",
        "ALTER TABLE refresh_token DROP COLUMN user_agent",
        "ALTER TABLE refresh_token RENAME COLUMN user_agent TO browser",
        "ALTER TABLE refresh_token RENAME TO token",
        "ALTER TABLE login_service ADD COLUMN late text NOT NULL DEFAULT ''; "
        "ALTER TABLE login_service ALTER COLUMN late DROP DEFAULT",
        "ALTER TABLE jti_claim ADD CHECK (jti <> '')",
        "ALTER TABLE jti_claim ADD CHECK (jti <> '') NOT VALID",
        "ALTER TABLE jti_claim ADD COLUMN late text REFERENCES principal (id)",
        "CREATE INDEX late ON refresh_token (created_at)",
        "CREATE INDEX CONCURRENTLY late ON refresh_token (created_at);\nALTER TABLE principal ADD COLUMN late int;\n",
        "UPDATE principal SET email = NULL WHERE role = 'USER'",
        "ALTER TABLE principal ADD COLUMN late int; ALTER TABLE jti_claim ADD COLUMN late int",
        "DROP TABLE login_limit",
    ],
)
def test_the_check_finds_what_breaks_the_rule(database: Database, text: str) -> None:
    with database.transaction(force_rollback=True):
        problems = breaks(database, text)
    print(problems)
    assert problems


def test_the_statements_of_the_previous_release_fit_the_new_schema(postgres_url: str) -> None:
    """A login of its servers makes a session, and all its other statements find their tables, columns and functions."""
    try:
        statements = previous_statements()
    except CalledProcessError:
        pytest.skip("this copy of the code has no history")
    with NewDatabase(postgres_url) as url, psycopg.connect(url, autocommit=True) as connection:
        migrate(DirectDatabase(url))
        for name in statements.keys() - {"migration_keep_vacuum_away", "migration_table"}:  # which cannot be prepared
            text = PLACEHOLDER.sub("NULL", statements[name])
            try:
                connection.execute(f"PREPARE {name} AS {text}".encode())
            except psycopg.Error as fault:
                pytest.fail(f"{name}: {fault}")
        row = connection.execute(f"{PERSON} 'password', 'A', 'B', NULL) RETURNING uid".encode(), ["ada"]).fetchone()
        assert row is not None
        values = {
            **dict.fromkeys(PLACEHOLDER.findall(statements["session_insert"])),
            **{"principal_id": "ada", "principal_uid": row[0], "password_generation": 0, "token_hash": b"t" * 32},
            **{"scopes": ["all:write"], "access_token_lifetime_ms": 600_000},
        }
        assert connection.execute(statements["session_insert"].encode(), values).fetchone() is not None
        assert dict(connection.execute(KEPT).fetchall()) == {"ada": 1}


PERSON = "INSERT INTO principal (id, role, principal_type, first_names, last_name, password_hash) VALUES (%s, 'USER', "
SERVICE = "INSERT INTO principal (id, role, principal_type) VALUES (%s, 'SERVICE', 'service')"


def test_an_upgrade_ends_what_a_person_has_beyond_the_bounds(
    postgres_url: str, config: Config, deploy: Callable[[Config], Flask], address: str
) -> None:
    """Of 1.1.0, which had no bounds. Afterwards that person can do everything, and a purge has nothing to end."""
    with NewDatabase(postgres_url) as url, psycopg.connect(url, autocommit=True) as connection:
        migrate_to_previous(url)
        for person in ("ada", "eve"):
            connection.execute(PERSON + "'password', 'A', 'B', %s)", [person, hash_password(PASSWORD)])
        for service in ("_flat", "_star", "_chain", "_few"):
            connection.execute(SERVICE, [service])
            connection.execute("INSERT INTO service_scope VALUES (%s, 'files:read')", [service])
        sessions = add_sessions(url, "ada", 3 * SESSIONS)
        add_sessions(url, "eve", SESSIONS)
        made = {
            "_flat": add_delegations(url, "ada", "_flat", 500),
            "_star": add_delegations(url, "ada", "_star", 500, "star"),
            "_chain": add_delegations(url, "ada", "_chain", 300, "chain"),
            "_few": add_delegations(url, "ada", "_few", DELEGATIONS),
        }
        flask = CommandLine({"DATABASE_URL": url})
        assert len(flask.json("db", "migrate")["applied"]) == len(all_migrations()) - released()
        assert dict(connection.execute(KEPT).fetchall()) == {
            "ada": SESSIONS, "eve": SESSIONS, **dict.fromkeys(("_flat", "_star", "_chain", "_few"), DELEGATIONS),
        }  # fmt: skip
        app = deploy(replace(config, database_url=url))
        api = Api(send_to_app(app, address))
        kept = [sessions[-1], sessions[-SESSIONS], made["_flat"][-1], made["_star"][0], made["_star"][-1]]
        assert {api.refresh(token).status for token in kept} == {200}
        assert {api.refresh(token).status for token in (sessions[-SESSIONS - 1], made["_flat"][0])} == {401}
        assert flask.json("purge")["refresh_token"] == 0
        connection.execute("INSERT INTO login_service VALUES ('app', 'https://example.org/', 'APPLICATION')")
        login = api.login("ada", PASSWORD, "app").ok()
        assert api.change_password(login["accessToken"], PASSWORD, "an altogether different phrase").ok() == {}
        assert dict(connection.execute(KEPT).fetchall()) == {"ada": 1, "eve": SESSIONS}


def test_a_purge_ends_what_a_server_of_the_previous_release_added(
    server_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    """In batches, of which the last one may be full. So does a later `db migrate`: the first may have ended early."""
    with NewDatabase(server_url) as url, psycopg.connect(url, autocommit=True) as connection:
        flask = CommandLine({"DATABASE_URL": url})
        flask.json("db", "migrate")
        connection.execute(PERSON + "'password', 'A', 'B', NULL)", ["ada"])
        connection.execute(SERVICE, ["_a"])
        add_sessions(url, "ada", SESSIONS + 100)
        add_delegations(url, "ada", "_a", DELEGATIONS + 25)
        add_sessions(url, "_a", SESSIONS + 5)  # the tokens of a service have no bound
        monkeypatch.setattr(import_module("auth.cli.purge"), "EXCESS_ROWS", 50)
        assert flask.json("purge") == {"refresh_token": 125, "jti_claim": 0, "login_limit": 0, "reset_token": 0}
        add_sessions(url, "ada", 7)
        assert flask.json("db", "migrate") == {"applied": []}
        assert dict(connection.execute(KEPT).fetchall()) == {"ada": SESSIONS, "_a": DELEGATIONS + SESSIONS + 5}


def test_no_request_waits_behind_a_migration_that_waits(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A transaction that goes on for long, such as a backup, has read a table that the migration alters."""
    late = Migration(9999, "9999_late", "ALTER TABLE refresh_token ADD COLUMN late int")
    with NewDatabase(postgres_url) as url, ThreadPoolExecutor(1) as pool:
        migrate(DirectDatabase(url))
        monkeypatch.setattr(migrations, "all_migrations", lambda: [late])
        with psycopg.connect(url) as reader, psycopg.connect(url, autocommit=True) as other:
            reader.execute("SELECT FROM refresh_token")
            other.execute("SET statement_timeout = '20s'")
            migrating = pool.submit(migrate, DirectDatabase(url))
            wait_until(lambda: other.execute("SELECT 1 FROM pg_locks WHERE NOT granted").fetchone())
            other.execute("SELECT FROM refresh_token")
            assert not migrating.done()
        assert migrating.result() == ["9999_late"]
