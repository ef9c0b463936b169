"""What full tables cost: bytes, an hour of refreshes and logins, and the deletion of a day of expired claims.

    .venv/bin/python -m tests.drills.growth [sessions, 10 million by default] [claims, 100 million by default]

Needs 35 GB of disk, and about half an hour. PostgreSQL runs without fsync: bytes and numbers of rows are right, and
times are those of a server that never waits for its disk.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import psycopg

from auth.core.limits import ACCESS_TOKEN_MS, PURGE_ROWS
from auth.db import STATEMENTS
from dev.bench.rows import SESSIONS_EACH, fill
from dev.bench.service import database, environment, postgres
from dev.bench.statements import LOGIN, for_pgbench
from dev.embedded import INSTALLED

REFRESHES, LOGINS, HOUR = 1000, 100, 3600  # a second; seconds
CLIENTS: Final = 8
SETTINGS: Final = ("fsync=off", "wal_level=minimal", "max_wal_senders=0", "shared_buffers=2GB")
SIZES: Final = """
    SELECT relname, pg_relation_size(oid)
    FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'i') AND pg_relation_size(oid) > 1e6
"""
COUNTS: Final = """
    SELECT format('%s: %s updates, %s of them HOT, %s dead rows left, %s autovacuums',
        relname, n_tup_upd, n_tup_hot_upd, n_dead_tup, autovacuum_count)
    FROM pg_stat_user_tables
    WHERE n_tup_upd > 0
"""
Database = psycopg.Connection[tuple[Any, ...]]


def main(sessions: int = 10_000_000, claims: int = 100_000_000) -> None:
    with postgres(*SETTINGS) as server, database(server, "growth") as url:
        environment(url)
        fill(url, sessions, claims=claims)
        with psycopg.connect(url, autocommit=True) as connection:
            for name, size in connection.execute(SIZES):
                print(f"{name}: {size:,} bytes, {size / (claims if 'jti' in name else sessions):.0f} a row")
            write_for_an_hour(connection, url, sessions)
            purge_a_day(connection)


def write_for_an_hour(connection: Database, url: str, sessions: int) -> None:
    """Refreshes that all note their use, each session every ten minutes, all over the table; then logins."""
    active = REFRESHES * ACCESS_TOKEN_MS // 1000
    refresh = for_pgbench("refresh_token_find").replace("=> (300)", "=> (0)")
    person = f"\\set n random(1, {sessions // SESSIONS_EACH})"
    for name, times, statements in (
        ("claim", 100_000, [person, for_pgbench("jti_claim_insert")]),
        ("refresh", REFRESHES * HOUR, [f"\\set n {sessions // active} * random(1, {active})", refresh]),
        ("login", LOGINS * HOUR, [person, *map(for_pgbench, LOGIN)]),
    ):
        with growth(connection, name, times):
            run(url, "\n".join(statements), times)
    for (counts,) in connection.execute(COUNTS):
        print(counts)
    for table in ("refresh_token", "login_limit"):
        started = time.monotonic()
        connection.execute(f"VACUUM {table}")
        print(f"VACUUM {table}: {time.monotonic() - started:.1f} s")


def purge_a_day(connection: Database) -> None:
    """Delete the claims of one of the thirty days in the batches of `flask purge`."""
    parameters = {"batch": PURGE_ROWS, "claim_days": 29}
    for part in range(1, sys.maxsize):
        started = time.monotonic()
        rows = sum(sum(connection.execute(STATEMENTS["expired_delete"], parameters).fetchall()[0]) for _ in range(2000))
        print(f"purge, part {part}: {rows:,} rows in {time.monotonic() - started:.1f} s")
        if rows < 2000 * PURGE_ROWS:
            return


@contextmanager
def growth(connection: Database, name: str, times: int) -> Iterator[None]:
    """Print what the block adds to the write-ahead log and to each relation, for each of that many times."""
    connection.execute("CHECKPOINT")
    before, started = sizes(connection), time.monotonic()
    yield
    each = {part: round((size - before.get(part, 0)) / times) for part, size in sizes(connection).items()}
    grown = {part: size for part, size in each.items() if size}
    print(f"{name}: {times:,} in {time.monotonic() - started:.0f} s; bytes each: {grown}")


def sizes(connection: Database) -> dict[str, int]:
    """The bytes of each large relation, and of the write-ahead log so far."""
    [(wal,)] = connection.execute("SELECT pg_current_wal_insert_lsn() - '0/0'").fetchall()
    return {"WAL": int(wal), **dict(connection.execute(SIZES).fetchall())}


def run(url: str, script: str, times: int) -> None:
    """Run a script of pgbench that many times."""
    with tempfile.NamedTemporaryFile("w") as file:
        file.write(script)
        file.flush()
        options = ["-n", "-M", "prepared", f"-c{CLIENTS}", f"-t{times // CLIENTS}", "-f", file.name]
        subprocess.run([INSTALLED / "pgbench", *options, url], check=True, capture_output=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
