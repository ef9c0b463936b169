"""Tables filled in bulk, with refresh tokens that a load generator can compute: t000000000001 and so on."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import psycopg

SESSIONS: Final = 10  # of each person

PEOPLE: Final = """
    INSERT INTO principal (id, role, principal_type, first_names, last_name, email)
    SELECT 'person-' || n, 'USER', 'password', 'Ada', 'Lovelace', 'person-' || n || '@example.org'
    FROM generate_series(0, %s) AS n
"""
TOKENS: Final = """
    INSERT INTO refresh_token (
        token_hash, principal_id, scopes, access_token_lifetime_ms, created_at, expires_at, ip_address, user_agent
    )
    SELECT
        sha256(('t' || lpad(n::text, 12, '0'))::bytea), 'person-' || coalesce(1 + n %% %(people)s, 0),
        '{all:write}', 600000,
        now() - n * interval '1 millisecond', now() + interval '30 days' - n * interval '1 millisecond',
        '203.0.113.7', 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0'
    FROM generate_series(%(above)s + 1, %(last)s) AS n
"""
CLAIMS: Final = """
    INSERT INTO jti_claim (jti, claimed_at)
    SELECT gen_random_uuid()::text, now() - n * interval '1 millisecond'
    FROM generate_series(1, %s) AS n
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
    """That many refresh tokens and claims, and a tenth as many people."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET maintenance_work_mem = '512MB'")
        connection.execute("SET session_replication_role = replica")  # no check of each row's foreign keys
        with _without_indexes(connection):
            connection.execute(PEOPLE, [rows // SESSIONS])
            connection.execute(TOKENS, {"people": rows // SESSIONS, "above": 0, "last": rows})
            connection.execute(CLAIMS, [rows])
        connection.execute("VACUUM ANALYZE")
        connection.execute("CHECKPOINT")


def replace_spare_tokens(url: str, above: int, last: int) -> None:
    """Refresh tokens with these numbers, of a person who has no others, instead of those that person had."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DELETE FROM refresh_token WHERE principal_id = 'person-0'")
        connection.execute(TOKENS, {"people": None, "above": above, "last": last})
        connection.execute("VACUUM ANALYZE refresh_token")


@contextmanager
def _without_indexes(connection: psycopg.Connection) -> Iterator[None]:
    """Fill first and index then: it takes a fraction of the time."""
    indexes = connection.execute(INDEXES).fetchall()
    for name, _, constraint in indexes:
        connection.execute(f"ALTER TABLE {constraint}" if constraint else f"DROP INDEX {name}")
    yield
    for _, definition, _ in indexes:
        connection.execute(definition)
