"""The schema and the statements: migrated once, constrained, and never reading a table from end to end."""

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from psycopg import sql

from app import create_app
from auth.config import Config
from auth.core.errors import DatabaseUnavailable, InternalError
from auth.db import SQL_FOLDER, STATEMENT_SECONDS, STATEMENTS, Database, DirectDatabase
from auth.migrations import all_migrations, migrate, pending

from .support.api import Api, request_class, send_to_app
from .support.databases import NewDatabase
from .support.plans import PER_REQUEST, explain
from .support.servers import PROJECT
from .support.timing import seconds_of
from .support.world import World

FILL = """
INSERT INTO principal (id, role, principal_type, first_names, last_name)
SELECT 'user-' || n, 'USER', 'password', 'A', 'B' FROM generate_series(1, 20000) n;
INSERT INTO principal (id, role, principal_type)
SELECT '_service-' || n, 'SERVICE', 'service' FROM generate_series(1, 2000) n;
INSERT INTO service_scope SELECT '_service-' || n, 'a:read' FROM generate_series(1, 2000) n;
INSERT INTO login_service SELECT 'service-' || n, 'https://example.org/', 'WEB', NULL FROM generate_series(1, 2000) n;
INSERT INTO refresh_token (token_hash, principal_id, scopes, access_token_lifetime_ms, expires_at)
SELECT sha256(n::text::bytea), 'user-' || (n % 20000 + 1), '{a:read}', 1,
    now() + make_interval(days => CASE WHEN n % 1000 = 0 THEN -1 ELSE 30 END)
FROM generate_series(1, 40000) n;
INSERT INTO login_limit (key, expires_at)
SELECT sha256(n::text::bytea), now() + make_interval(hours => CASE WHEN n % 1000 = 0 THEN -1 ELSE 1 END)
FROM generate_series(1, 40000) n;
INSERT INTO jti_claim SELECT 'jti-' || n, now() - make_interval(days => CASE WHEN n % 1000 = 0 THEN 31 ELSE 0 END)
FROM generate_series(1, 40000) n;
ANALYZE;
"""


@pytest.fixture(scope="module")
def filled(server_url: str) -> Any:
    with NewDatabase(server_url) as url:
        migrate(DirectDatabase(url))
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(FILL)
            yield connection


def test_the_plan_of_every_statement_of_a_request_is_checked() -> None:
    files = [*PROJECT.glob("auth/rpcs/*.py"), PROJECT / "auth/lockout.py"]
    names = {name for path in files for name in re.findall(r'"(\w+)"', path.read_text()) if name in STATEMENTS}
    assert names == set(PER_REQUEST), "each statement of a request needs its values in tests/support/plans.py"


@pytest.mark.parametrize("name", PER_REQUEST)
def test_no_request_reads_a_table_from_end_to_end(filled: psycopg.Connection[Any], name: str) -> None:
    with filled.transaction(force_rollback=True):
        statement = (SQL_FOLDER / f"{name}.sql").read_text()
        plan = [line for (line,) in filled.execute("EXPLAIN " + statement, PER_REQUEST[name])]
    for lines in plan, explain(filled, name, PER_REQUEST[name], "COSTS"):
        text = "\n".join(lines)
        assert "Seq Scan" not in text, text


def test_every_statement_is_one_and_says_what_it_does() -> None:
    code = "\n".join(path.read_text() for path in SQL_FOLDER.parent.glob("auth/**/*.py"))
    for path in SQL_FOLDER.glob("*.sql"):
        text = path.read_text()
        assert text.startswith("-- "), path
        assert ";" not in re.sub(r"--[^\n]*|\$\$.*\$\$", "", text, flags=re.DOTALL), path
        assert f'"{path.stem}"' in code, f"nobody runs {path.name}"
    used = set(re.findall(r'\.(?:one|many|run)\(\s*"(\w+)"', code))
    assert used <= {path.stem for path in SQL_FOLDER.glob("*.sql")}


def test_sql_is_in_files_only() -> None:
    for path in SQL_FOLDER.parent.glob("auth/**/*.py"):
        assert not re.search(r"\b(SELECT|INSERT INTO|DELETE FROM|UPDATE \w+ SET)\b", path.read_text()), path


def test_only_one_module_knows_the_driver() -> None:
    for path in SQL_FOLDER.parent.glob("auth/**/*.py"):
        assert path.name == "connection.py" or "psycopg" not in path.read_text(), path


def test_migrations_apply_once_however_many_processes_start(server_url: str) -> None:
    with NewDatabase(server_url) as url:
        databases = [DirectDatabase(url) for _ in range(8)]
        assert len(pending(databases[0])) == len(all_migrations())
        with ThreadPoolExecutor(8) as pool:
            applied = [name for names in pool.map(migrate, databases) for name in names]
        assert sorted(applied) == [migration.name for migration in all_migrations()]
        assert pending(databases[0]) == []
        assert migrate(databases[0]) == []


def test_a_migration_that_fails_leaves_nothing(server_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from auth import migrations

    broken = migrations.Migration(1, "0001_broken", "CREATE TABLE half (id int); SELECT 1 / 0;")
    with NewDatabase(server_url) as url:
        database = DirectDatabase(url)
        monkeypatch.setattr(migrations, "all_migrations", lambda: [broken])
        with pytest.raises(InternalError):
            migrate(database)
        assert pending(database) == ["0001_broken"]
        with psycopg.connect(url) as connection:
            assert connection.execute("SELECT to_regclass('half')").fetchone() == (None,)


def test_migration_versions_are_unique_and_in_order() -> None:
    versions = [migration.version for migration in all_migrations()]
    assert versions == list(range(1, len(versions) + 1))


INSERT_PERSON = "INSERT INTO principal (id, role, principal_type, first_names, last_name) VALUES ({}, {}, {}, 'A', 'B')"
INSERT_SERVICE = "INSERT INTO principal (id, role, principal_type) VALUES ({}, {}, {})"


@pytest.mark.parametrize(
    ("template", "values"),
    [
        (INSERT_PERSON, ("", "USER", "password")),
        (INSERT_PERSON, ("a" * 256, "USER", "password")),
        (INSERT_PERSON, ("a\nb", "USER", "password")),
        (INSERT_PERSON, ("_a", "USER", "password")),
        (INSERT_PERSON, ("#P_a", "USER", "password")),
        (INSERT_PERSON, ("a", "SERVICE", "password")),
        (INSERT_PERSON, ("a", "UNKNOWN", "password")),
        (INSERT_PERSON, ("a", "USER", "magic")),
        (INSERT_PERSON, ("_a", "SERVICE", "service")),
        (INSERT_SERVICE, ("a", "SERVICE", "service")),
        (INSERT_SERVICE, ("__a", "SERVICE", "service")),
        (INSERT_SERVICE, ("_a", "ADMIN", "service")),
        (INSERT_SERVICE, ("a", "USER", "password")),
        (INSERT_SERVICE, ("a", "PROVIDER", "provider")),
    ],
)  # fmt: skip
def test_the_schema_refuses_inconsistent_principals(
    filled: psycopg.Connection[Any], template: str, values: tuple[str, ...]
) -> None:
    with pytest.raises(psycopg.errors.CheckViolation), filled.transaction():
        filled.execute(sql.SQL(template).format(*map(sql.Literal, values)))


@pytest.mark.parametrize(
    ("columns", "values"),
    [
        ("extended_by, expires_at", "'_service-7', now()"),
        ("extended_by_chain, expires_at", "'{_service-7}', now()"),
        ("extended_by, extended_by_chain, expires_at", "'_service-7', '{_service-7,_service-8}', now()"),
        ("extended_by, extended_by_chain", "'_service-7', '{_service-7}'"),
        ("user_agent", "repeat('a', 4097)"),
    ],
)
def test_the_schema_refuses_inconsistent_tokens(filled: psycopg.Connection[Any], columns: str, values: str) -> None:
    statement = (
        f"INSERT INTO refresh_token (token_hash, principal_id, scopes, access_token_lifetime_ms, {columns}) "
        f"VALUES (sha256('x'), 'user-7', '{{a:read}}', 1, {values})"
    )
    with pytest.raises(psycopg.errors.CheckViolation), filled.transaction():
        filled.execute(statement)


def test_the_purge_takes_at_most_a_batch_and_passes_over_locked_rows(server_url: str) -> None:
    with NewDatabase(server_url) as url:
        migrate(DirectDatabase(url))
        database = Database(url)  # which does not wait for a lock for ever
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(FILL)  # 40 dead tokens and 40 dead claims
            with connection.transaction():
                connection.execute("SELECT 1 FROM refresh_token WHERE expires_at < now() LIMIT 5 FOR UPDATE")
                first = database.one("expired_delete", batch=50, claim_days=30)
                assert first == {"refresh_token": 35, "jti_claim": 15, "login_limit": 0}
        assert database.one("expired_delete", batch=50, claim_days=30) == {
            "refresh_token": 5,
            "jti_claim": 25,
            "login_limit": 20,
        }
        assert database.one("expired_delete", batch=50, claim_days=30) == {
            "refresh_token": 0,
            "jti_claim": 0,
            "login_limit": 20,
        }
        database.close()


def test_a_database_without_tables_is_unavailable(server_url: str, world: World) -> None:
    with NewDatabase(server_url) as url:
        database = Database(url)
        with pytest.raises(DatabaseUnavailable):
            database.one("service_list")
        database.close()


def test_statements_are_bounded(database_url: str) -> None:
    """By the server, which then undoes them. Through PgBouncer the session is not ours to bound: we give up instead."""
    database = Database(database_url)
    latest = STATEMENT_SECONDS + 0.8

    def sleep() -> None:
        with pytest.raises(DatabaseUnavailable), database.transaction() as transaction:
            transaction.script("SELECT pg_sleep(20)")

    assert STATEMENT_SECONDS < seconds_of(sleep, latest) < latest
    database.close()


def test_the_service_is_ready_on_the_schema_of_a_later_release(server_url: str, config: Config, address: str) -> None:
    """Otherwise a proxy would take every server out while a new release migrates."""
    with NewDatabase(server_url) as url:
        migrate(DirectDatabase(url))
        with psycopg.connect(url) as connection:
            connection.execute("INSERT INTO schema_migration (version, name) VALUES (9999, '9999_later')")
        app = create_app(replace(config, database_url=url))
        assert Api(send_to_app(app, address)).call("GET", "/readyz").status == 200
        request_class(app).db.close()
