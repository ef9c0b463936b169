"""Tables filled in bulk, with refresh tokens that a load generator can compute: t000000000001 and so on."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import psycopg

ROWS: Final = 10_000  # of the smallest tables
SESSIONS: Final = 10  # of each person
MANY: Final = 16  # persons with 250 sessions
SERVICE_TOKEN: Final = "s000000000001"

PRINCIPALS: Final = """
    INSERT INTO principal (id, role, principal_type, first_names, last_name, email)
    SELECT 'person-' || n, 'USER', 'password', 'Ada', 'Lovelace', 'person-' || n || '@example.org'
    FROM generate_series(0, {people} + {many}) AS n;
    INSERT INTO principal (id, role, principal_type) VALUES ('_bench', 'SERVICE', 'service');
    INSERT INTO service_scope (service_id, scope) VALUES ('_bench', 'files:read');
    INSERT INTO login_service (name, endpoint, mode) VALUES ('app', 'https://cloud.example.org/app', 'APPLICATION')
"""
TOKENS: Final = """
    INSERT INTO refresh_token (
        token_hash, principal_id, scopes, access_token_lifetime_ms, created_at, expires_at, ip_address, user_agent
    )
    SELECT
        sha256(('{letter}' || lpad(n::text, 12, '0'))::bytea), {owner},
        '{{all:write}}', 86400000,  -- a day, longer than the benchmark
        now() - n * interval '1 millisecond', now() + interval '30 days' - n * interval '1 millisecond',
        '203.0.113.7', 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0'
    FROM generate_series({first}, {last}) AS n
"""
CLAIMS: Final = """
    INSERT INTO jti_claim (jti, claimed_at)
    SELECT gen_random_uuid()::text, now() - n * interval '1 millisecond'
    FROM generate_series(1, {rows}) AS n
"""
INDEXES: Final = """
    SELECT
        index.indexrelid::regclass::text,
        coalesce(
            'ALTER TABLE ' || index.indrelid::regclass || ' ADD ' || pg_get_constraintdef(owner.oid),
            pg_get_indexdef(index.indexrelid)
        ),
        index.indrelid::regclass || ' DROP CONSTRAINT ' || owner.conname
    FROM pg_index AS index
    LEFT JOIN pg_constraint AS owner ON owner.conindid = index.indexrelid AND owner.contype IN ('p', 'u')
    WHERE index.indrelid IN ('refresh_token'::regclass, 'jti_claim'::regclass)
"""


def fill(url: str, rows: int) -> None:
    """That many refresh tokens and claims, and a tenth as many persons; then persons with many sessions each."""
    people = rows // SESSIONS
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET maintenance_work_mem = '512MB'")
        connection.execute("SET session_replication_role = replica")  # no check of each row's foreign keys
        with _without_indexes(connection):
            connection.execute(PRINCIPALS.format(people=people, many=MANY))
            connection.execute(_tokens("t", f"'person-' || 1 + n % {people}", 1, rows))
            connection.execute(_tokens("m", f"'person-' || {people} + 1 + n % {MANY}", 1, MANY * 250))
            connection.execute(_tokens("s", "'_bench'", 1, 1))
            connection.execute(CLAIMS.format(rows=rows))
        connection.execute("VACUUM ANALYZE")
        connection.execute("CHECKPOINT")


def add_logins(url: str, password_hash: str, count: int) -> None:
    """The persons login-0 and so on, each with that password hash."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            """
            INSERT INTO principal (id, role, principal_type, first_names, last_name, password_hash)
            SELECT 'login-' || n, 'USER', 'password', 'Ada', 'Lovelace', %s
            FROM generate_series(0, %s - 1) AS n
            """,
            [password_hash, count],
        )


def replace_spare_tokens(url: str, first: int, last: int) -> None:
    """Refresh tokens with these numbers, of a person without others, instead of the last ones."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DELETE FROM refresh_token WHERE principal_id = 'person-0'")
        connection.execute(_tokens("t", "'person-0'", first, last))
        connection.execute("VACUUM ANALYZE refresh_token")


def _tokens(letter: str, owner: str, first: int, last: int) -> str:
    return TOKENS.format(letter=letter, owner=owner, first=first, last=last)


@contextmanager
def _without_indexes(connection: psycopg.Connection) -> Iterator[None]:
    """Drop the indexes while the tables are filled: this takes a fraction of the time."""
    indexes = connection.execute(INDEXES).fetchall()
    for name, _, constraint in indexes:
        connection.execute(f"ALTER TABLE {constraint}" if constraint else f"DROP INDEX {name}")
    yield
    for _, definition, _ in indexes:
        connection.execute(definition)
