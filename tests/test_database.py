"""The schema and the statements: migrated once, constrained, and never reading a table from end to end."""

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from ipaddress import ip_address, ip_network
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from app import create_app
from auth.cli.common import DirectDatabase
from auth.cli.migrations import all_migrations, migrate, pending
from auth.config import Config
from auth.core.errors import DatabaseUnavailable, InternalError
from auth.core.limits import CLAIM_DAYS, ID_CHARACTERS
from auth.db import READS, SQL_FOLDER, STATEMENT_SECONDS, STATEMENTS, Pool

from .support.api import Api, request_class, send_to_app
from .support.databases import NewDatabase
from .support.lockouts import limit_key
from .support.plans import PER_REQUEST, explain
from .support.servers import PROJECT
from .support.timing import seconds_of
from .support.world import World, claims

FILL = """
INSERT INTO principal (id, role, principal_type, first_names, last_name, reset_token_hash, reset_expires_at)
SELECT 'user-' || n, 'USER', 'password', 'A', 'B', CASE WHEN n % 500 = 0 THEN sha256(n::text::bytea) END,
    CASE WHEN n % 1000 = 0 THEN now() - interval '1 hour' WHEN n % 500 = 0 THEN now() + interval '1 hour' END
FROM generate_series(1, 20000) n;
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
INSERT INTO second_factor (principal_id, secret, last_step)
SELECT 'user-' || n, 's', 1 FROM generate_series(1, 20000) n;
INSERT INTO sla SELECT n, 'terms' FROM generate_series(1, 2000) n;
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


def test_a_login_without_a_factor_looks_for_none_and_writes_no_person(filled: psycopg.Connection[Any]) -> None:
    row = filled.execute("SELECT uid FROM principal WHERE id = 'user-7'").fetchone()
    assert row is not None
    values = PER_REQUEST["session_insert"] | {"uid": row[0], "new_hash": None, "recovery_hash": None}
    plan = explain(filled, "session_insert", values, "ANALYZE")
    assert "rows=1" in next(line for line in plan if "Insert on refresh_token" in line)
    scans = [line for line in plan if re.search(r"Scan using \w+ on (second_factor|principal principal_1)", line)]
    assert len(scans) == 3
    assert [line for line in scans if "never executed" not in line] == []


def test_every_statement_is_one_and_says_what_it_does() -> None:
    code = "\n".join(path.read_text() for path in SQL_FOLDER.parent.glob("auth/**/*.py"))
    for path in SQL_FOLDER.glob("*.sql"):
        text = path.read_text()
        assert text.startswith("-- "), path
        assert ";" not in re.sub(r"--[^\n]*|\$\$.*\$\$", "", text, flags=re.DOTALL), path
        assert f'"{path.stem}"' in code, f"nobody runs {path.name}"
    used = set(re.findall(r'\.(?:one|many|run)\(\s*"(\w+)"', code))
    assert used <= {path.stem for path in SQL_FOLDER.glob("*.sql")}


def test_no_comment_has_a_parameter() -> None:
    """psycopg substitutes it there, too."""
    for path in SQL_FOLDER.glob("*.sql"):
        assert not re.search(r"--.*%", path.read_text()), path


def test_every_statement_names_its_columns() -> None:
    """Otherwise a migration could change their names, which a cursor keeps."""
    for path in SQL_FOLDER.glob("*.sql"):
        text = re.sub(r"--[^\n]*", "", path.read_text())
        assert not re.search(r"(\bSELECT|\bRETURNING|,|[\w)]\.)\s*\*", text), path


def test_the_name_of_a_statement_says_whether_its_commit_waits_for_a_standby() -> None:
    """Those that wait take a connection for writes, and leave the others for reads while commits hang."""
    for name in {*PER_REQUEST, "migration_latest"} - {"expired_delete"}:  # which a command runs
        text = re.sub(r"--[^\n]*", "", STATEMENTS[name].decode())
        writes = re.search(r"\b(INSERT|UPDATE|DELETE|SHARE)\b", text) and "set_config('synchronous_commit'" not in text
        assert bool(writes) != name.endswith(READS), name


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
    from auth.cli import migrations

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
    assert versions == sorted(set(versions))


INSERT_PERSON = "INSERT INTO principal (id, role, principal_type, first_names, last_name) VALUES ({}, {}, {}, 'A', 'B')"
INSERT_SERVICE = "INSERT INTO principal (id, role, principal_type) VALUES ({}, {}, {})"


@pytest.mark.parametrize(
    ("template", "values"),
    [
        (INSERT_PERSON, ("", "USER", "password")),
        (INSERT_PERSON, ("a" * (ID_CHARACTERS + 1), "USER", "password")),
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
        database = Pool(url)  # which does not wait for a lock for ever
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(FILL)  # 40 dead tokens, 40 dead claims, 40 dead limits and 20 dead reset tokens
            with connection.transaction():
                connection.execute("SELECT 1 FROM refresh_token WHERE expires_at < now() LIMIT 5 FOR UPDATE")
                first = database.one("expired_delete", batch=50, claim_days=CLAIM_DAYS)
                assert first == {"refresh_token": 35, "jti_claim": 15, "login_limit": 0, "reset_token": 0}
        assert database.one("expired_delete", batch=50, claim_days=CLAIM_DAYS) == {
            "refresh_token": 5,
            "jti_claim": 25,
            "login_limit": 20,
            "reset_token": 0,
        }
        with psycopg.connect(url) as holder:
            holder.execute("SELECT FROM principal WHERE reset_expires_at < now() LIMIT 2 FOR UPDATE")
            assert database.one("expired_delete", batch=50, claim_days=CLAIM_DAYS) == {
                "refresh_token": 0,
                "jti_claim": 0,
                "login_limit": 20,
                "reset_token": 18,
            }
        assert database.one("expired_delete", batch=50, claim_days=CLAIM_DAYS) == {
            "refresh_token": 0,
            "jti_claim": 0,
            "login_limit": 0,
            "reset_token": 2,
        }
        database.close()


# Each column with the end of something, and its name in the counts of the purge. A session ends at the earlier one of
# its two columns, which is `expires_at`.
ENDS = {
    ("login_limit", "expires_at"): "login_limit",
    ("principal", "reset_expires_at"): "reset_token",
    ("refresh_token", "expires_at"): "refresh_token",
    ("refresh_token", "ends_at"): "refresh_token",
}


def test_all_that_expires_is_purged(filled: psycopg.Connection[Any]) -> None:
    columns = filled.execute(
        "SELECT table_name, column_name FROM information_schema.columns "
        "WHERE table_schema = 'public' AND data_type LIKE 'timestamp%' AND column_name ~ 'expire|ends_at'"
    ).fetchall()
    assert set(columns) == set(ENDS), "say here what purges the new column"
    with filled.transaction(force_rollback=True):
        before = filled.execute("SELECT count(*) FROM principal WHERE reset_token_hash IS NOT NULL").fetchone()
        purged = filled.execute(STATEMENTS["expired_delete"], {"batch": 1000, "claim_days": CLAIM_DAYS})
        assert purged.description is not None
        counts = dict(zip([column.name for column in purged.description], purged.fetchall()[0], strict=True))
        assert counts == {"refresh_token": 40, "jti_claim": 40, "login_limit": 40, "reset_token": 20}
        after = filled.execute("SELECT count(*) FROM principal WHERE reset_token_hash IS NOT NULL").fetchone()
        live = filled.execute("SELECT count(*) FROM principal WHERE reset_expires_at > now()").fetchone()
        assert (before, after, live) == ((40,), (20,), (20,))


@pytest.mark.parametrize(
    ("call", "effect"),
    [
        ("end_sessions('user-8', 0, NULL)", 2),
        ("end_sessions('user-8', 1, 1000)", 1),
        ("end_sessions('user-8', 0, 1)", 1),
        ("end_sessions('user-8', 2, 1000)", 0),
        ("end_delegations('user-9')", 3),
        ("end_tokens('user-8', NULL)", 2),
        ("seconds_blocked(ARRAY[sha256('1'), sha256('limited')])", 60),
        ("seconds_blocked(ARRAY[sha256('1')])", None),
        ("is_known_network FROM guess_limits('203.0.113.7', 'user-8', 'user-8')", False),
        ("has_delegations('_service-1', 'user-9', 3)", True),
        ("has_delegations('_service-1', 'user-9', 4)", False),
        ("has_delegations('_service-2', 'user-9', 1)", False),
    ],
)
def test_no_function_reads_a_table_from_end_to_end(filled: psycopg.Connection[Any], call: str, effect: object) -> None:
    scans = "SELECT sum(seq_scan) FROM pg_stat_xact_user_tables"
    with filled.transaction(force_rollback=True):
        filled.execute(
            "INSERT INTO refresh_token (token_hash, principal_id, scopes, access_token_lifetime_ms, extended_by, "
            "extended_by_chain, expires_at) SELECT sha256(('d' || n)::bytea), 'user-9', '{a:read}', 1, '_service-1', "
            "'{_service-1}', now() + interval '1 day' FROM generate_series(1, 3) n"
        )
        filled.execute(
            "INSERT INTO login_limit (key, blocked_until, expires_at) "
            "VALUES (sha256('limited'), now() + interval '1 min', now() + interval '2 min')"
        )
        before = filled.execute(scans).fetchone()
        assert filled.execute(f"SELECT {call}".encode()).fetchone() == (effect,)
        assert filled.execute(scans).fetchone() == before


ADDRESSES = ["203.0.113.7", "203.0.113.6", "203.0.113.8", "0.0.0.0", "255.255.255.255", "2001:db8:1:2::",
             "2001:db8:1:2::7", "2001:db8:1:2:ffff:ffff:ffff:ffff", "2001:db8:1:1:ffff:ffff:ffff:ffff",
             "2001:db8:1:3::", "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", None]  # fmt: skip
NETWORKS = ["203.0.113.7/32", "0.0.0.0/32", "255.255.255.255/32", "2001:db8:1:2::/64", "::/64",
            "ffff:ffff:ffff:ffff::/64", None]  # fmt: skip


def test_a_known_network_is_one_that_contains_the_address_of_a_live_session(world: World) -> None:
    for address in ADDRESSES:
        user = world.user()
        world.session(user, ip_address=address)
        person = {"bearer_id": user, "bearer_uid": None, "bearer_grant_reference": None, "bearer_issued_at": 2**40}
        for network in NETWORKS:
            contains = bool(address and network) and ip_address(address or "") in ip_network(network or "")
            login = world.db.one("login_find", username=user, service=world.login_service(), address=network)
            change = world.db.one("password_find", address=network, **person)
            for row in (login, change):
                assert row is not None
                assert row["is_known_network"] == contains, (address, network)


@pytest.mark.parametrize("username", ["ada", "åsa", r"a\000b", ""])
def test_the_keys_of_the_limits_are_those_of_earlier_releases(world: World, username: str) -> None:
    """Those made them in Python. Servers of both releases count together during an upgrade."""
    service = world.login_service()
    for address in [*ADDRESSES, "2001:db8:0:1:0:1:0:0", "0:0:0:1::9", "::1", "1::"]:
        prefix = 64 if ":" in (address or "") else 32
        network = str(ip_network(f"{address}/{prefix}", strict=False)) if address else ""
        row = world.db.one("login_find", username=username, service=service, address=address)
        assert row is not None
        assert row["pair_key"] == limit_key("pair", network, username)
        assert row["network_key"] == limit_key("network", network)
        assert row["username_key"] == limit_key("username", username)


@pytest.mark.parametrize("network", ["203.0.113.7/32", "10.9.8.7/32", "2001:db8::/64", None])
@pytest.mark.parametrize("name", ["login_find", "password_find"])
def test_a_guess_reads_few_pages_however_many_sessions_its_user_has(
    filled: psycopg.Connection[Any], name: str, network: str | None
) -> None:
    """Else each guess would slow the service down, and its time would tell that the user exists.

    The sessions have over 400 pages. The first use of a function in a connection reads some pages of the catalog.
    """
    reference = uuid4()
    with filled.transaction(force_rollback=True):
        filled.execute(
            "INSERT INTO refresh_token (token_hash, principal_id, scopes, access_token_lifetime_ms, ip_address, "
            "public_session_reference) "
            "SELECT sha256(('s' || n)::bytea), 'user-7', '{a:read}', 1, '10.0.0.1'::inet + n, "
            "CASE WHEN n = 1 THEN %s ELSE gen_random_uuid() END FROM generate_series(1, 20000) n",
            [reference],
        )
        values = PER_REQUEST[name] | {"address": network}
        values |= {"bearer_grant_reference": reference} if "bearer_grant_reference" in values else {}
        [[plan]] = explain(filled, name, values, "ANALYZE, BUFFERS, FORMAT JSON")
    assert plan["Plan"]["Actual Rows"] == 1
    assert plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"] < 150


def test_a_database_without_tables_is_unavailable(server_url: str, world: World) -> None:
    with NewDatabase(server_url) as url:
        database = Pool(url)
        with pytest.raises(DatabaseUnavailable):
            database.one("service_list")
        database.close()


def test_a_mistake_of_ours_is_no_fault_of_the_database(database_url: str) -> None:
    """psycopg refuses it before it asks the server: 500, since no later try would succeed."""
    database = Pool(database_url)
    for parameters in ({}, {"id": object()}):
        with pytest.raises(InternalError):
            database.one("principal_lock", **parameters)
    assert database.one("migration_latest")
    database.close()


def test_statements_are_bounded(database_url: str) -> None:
    """By the server, which then undoes them. Through PgBouncer the session is not ours to bound: we give up instead."""
    database = Pool(database_url)
    latest = STATEMENT_SECONDS + 0.8

    def sleep() -> None:
        with pytest.raises(DatabaseUnavailable), database.lease(True) as connection, connection.transaction():
            connection.execute("SELECT pg_sleep(20)")

    assert STATEMENT_SECONDS < seconds_of(sleep, latest) < latest
    database.close()


# Columns change their names, types and places.
CHANGES = """
ALTER TABLE principal RENAME first_names TO moved;
ALTER TABLE principal RENAME last_name TO first_names;
ALTER TABLE principal RENAME moved TO last_name;
ALTER TABLE principal RENAME email TO moved;
ALTER TABLE principal ADD email varchar(7) DEFAULT 'a@b.org';
ALTER TABLE refresh_token ALTER access_token_lifetime_ms TYPE integer;
"""


def test_a_migration_while_the_service_runs(server_url: str, config: Config, address: str) -> None:
    """Its connections prepared their statements before. No value gets into the place of another."""
    with NewDatabase(server_url) as url:
        migrate(DirectDatabase(url))
        app = create_app(replace(config, database_url=url))
        api = Api(send_to_app(app, address))
        user = World(request_class(app).database, request_class(app).tokens).session()

        def tokens() -> list[dict[str, Any]]:
            refreshed = api.refresh(user.refresh_token).ok()["accessToken"]
            one_time = api.request_one_time_token(user.access_token, "files:read").ok()["accessToken"]
            return [claims(token) for token in (refreshed, one_time)]

        for _ in range(8):  # of which psycopg prepares the later ones
            before = tokens()
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(CHANGES)
        for _ in range(2):  # once for each connection, with statements that were prepared before
            api.refresh(user.refresh_token)
            api.request_one_time_token(user.access_token, "files:read")
        for old, new in zip(before, tokens(), strict=True):
            assert (new["firstNames"], new["lastName"]) == (old["lastName"], old["firstNames"])
            assert new["email"] == "a@b.org"
            assert new["exp"] - new["iat"] == old["exp"] - old["iat"]
        request_class(app).database.close()


def test_the_service_is_ready_on_the_schema_of_a_later_release(server_url: str, config: Config, address: str) -> None:
    """Otherwise a proxy would take every server out while a new release migrates."""
    with NewDatabase(server_url) as url:
        migrate(DirectDatabase(url))
        with psycopg.connect(url) as connection:
            connection.execute("INSERT INTO schema_migration (version, name) VALUES (9999, '9999_later')")
        app = create_app(replace(config, database_url=url))
        assert Api(send_to_app(app, address)).call("GET", "/readyz").status == 200
        request_class(app).database.close()
