"""Sessions and delegations by the thousand, which a test inserts itself, and a wait for their locks."""

import secrets

import psycopg

from .copies import wait_until

INSERT = """
INSERT INTO refresh_token (
    token_hash, principal_id, scopes, access_token_lifetime_ms, created_at, expires_at, ip_address,
    extended_by, extended_by_chain, made_from
)
SELECT
    sha256((%(name)s || n)::bytea), %(person)s, %(scopes)s, 600000, now() - make_interval(secs => %(count)s + 60 - n),
    now() + %(expires_in)s::interval, %(address)s,
    %(service)s, CASE WHEN %(service)s::text IS NULL THEN '{}' ELSE array_fill(%(service)s::text, ARRAY[CASE %(shape)s
        WHEN 'chain' THEN n
        WHEN 'star' THEN least(n, 2)
        WHEN 'eights' THEN 2 + (n - 2) / 700
        ELSE 1
    END]) END,
    CASE WHEN n > 1 THEN sha256((%(name)s || CASE %(shape)s
        WHEN 'chain' THEN n - 1
        WHEN 'star' THEN 1
        WHEN 'eights' THEN greatest(n - 700, 1)
    END)::bytea) END
FROM generate_series(1, %(count)s) AS n
ORDER BY n
"""


def add_sessions(
    url: str, person: str, count: int, expires_in: str | None = None, address: str = "203.0.113.7"
) -> list[str]:
    """The refresh tokens of that many new sessions, oldest first."""
    return _add(url, person, count, scopes=["all:write"], expires_in=expires_in, address=address)


def add_delegations(
    url: str, person: str, service: str, count: int, shape: str = "", expires_in: str = "30 days"
) -> list[str]:
    """The refresh tokens of that many new delegations, oldest first.

    In a "chain" each one is made from the one before, in a "star" all others are made from the first one. In "eights"
    700 are made from the first one, from each of these another one, and so on.
    """
    return _add(url, person, count, ["files:read"], expires_in, service=service, shape=shape)


def _add(
    url: str,
    person: str,
    count: int,
    scopes: list[str],
    expires_in: str | None,
    address: str | None = None,
    service: str | None = None,
    shape: str = "",
) -> list[str]:
    name = secrets.token_hex(8)
    with psycopg.connect(url) as connection:
        connection.execute(
            INSERT,
            {"name": name, "person": person, "count": count, "scopes": scopes, "expires_in": expires_in,
             "address": address, "service": service, "shape": shape},
        )  # fmt: skip
    return [f"{name}{number}" for number in range(1, count + 1)]


def wait_for_lock(url: str) -> None:
    """Wait until a statement in that database waits for the lock of a row."""
    waiting = (
        "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' "
        "AND wait_event IN ('transactionid', 'tuple', 'advisory')"
    )
    with psycopg.connect(url, autocommit=True, prepare_threshold=None) as connection:
        wait_until(lambda: connection.execute(waiting).fetchone() is not None)
