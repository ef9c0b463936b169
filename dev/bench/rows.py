"""Tables filled in bulk, with refresh tokens that a load generator can compute: t000000000001 and so on."""

from typing import Final

import psycopg

ROWS: Final = 10_000  # of the smallest tables
SESSIONS_EACH: Final = 10  # of each person
LOGINS: Final = 64  # persons with a password
SERVICE_TOKEN: Final = "s000000000001"

PRINCIPALS: Final = """
    INSERT INTO principal (id, role, principal_type, first_names, last_name, email, password_hash)
    SELECT 'person-' || n, 'USER', 'password', 'Ada', 'Lovelace', 'person-' || n || '@example.org', 'a'
    FROM generate_series(0, {people}) AS n;
    INSERT INTO principal (id, role, principal_type, first_names, last_name, password_hash)
    SELECT 'login-' || n, 'USER', 'password', 'Ada', 'Lovelace', '{password_hash}'
    FROM generate_series(1, {logins}) AS n;
    INSERT INTO principal (id, role, principal_type) VALUES ('_bench', 'SERVICE', 'service');
    INSERT INTO service_scope (service_id, scope) VALUES ('_bench', 'files:read');
    INSERT INTO login_service (name, endpoint, mode) VALUES ('app', 'https://cloud.example.org/app', 'APPLICATION')
"""
# The access tokens live for a day, longer than the benchmark.
TOKENS: Final = """
    INSERT INTO refresh_token (
        token_hash, public_session_reference, principal_id, scopes, access_token_lifetime_ms, created_at, expires_at,
        ip_address, user_agent
    )
    SELECT
        sha256(('{letter}' || lpad(n::text, 12, '0'))::bytea), md5('{letter}' || n)::uuid, {owner},
        '{{all:write}}', 86400000,
        now() - n * interval '1 millisecond', now() + interval '30 days' - n * interval '1 millisecond',
        '203.0.113.7', 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0'
    FROM generate_series(1, {count}) AS n
"""
CLAIMS: Final = """
    INSERT INTO jti_claim (jti, claimed_at)
    SELECT gen_random_uuid()::text, now() - n * interval '1 millisecond'
    FROM generate_series(1, {rows}) AS n
"""
STOP_INDEXES: Final = """
    UPDATE pg_index SET indisready = false WHERE indrelid IN ('refresh_token'::regclass, 'jti_claim'::regclass)
"""


def fill(url: str, rows: int, password_hash: str = "a", claims: int | None = None) -> None:
    """That many refresh tokens and claims (or `claims`), a tenth as many persons, and persons who log in."""
    people = rows // SESSIONS_EACH
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET maintenance_work_mem = '512MB'")
        connection.execute("SET session_replication_role = replica")  # no check of each row's foreign keys
        connection.execute(STOP_INDEXES)  # to build them afterwards takes a fraction of the time
        connection.execute(PRINCIPALS.format(people=people, logins=LOGINS, password_hash=password_hash))
        connection.execute(TOKENS.format(letter="t", owner=f"'person-' || 1 + n % {people}", count=rows))
        connection.execute(TOKENS.format(letter="s", owner="'_bench'", count=1))
        connection.execute(CLAIMS.format(rows=claims or rows))
        for statement in ("REINDEX TABLE refresh_token", "REINDEX TABLE jti_claim", "VACUUM ANALYZE", "CHECKPOINT"):
            connection.execute(statement)


def add_spare_tokens(url: str, count: int) -> None:
    """Refresh tokens b000000000001 and so on, of a person without others."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(TOKENS.format(letter="b", owner="'person-0'", count=count))
        connection.execute("VACUUM ANALYZE refresh_token")
