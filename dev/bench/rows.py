"""Tables filled in bulk, with refresh tokens that a load generator can compute: t000000000001 and so on."""

from pathlib import Path
from typing import Final

import psycopg

ROWS: Final = 10_000  # of the smallest tables
SESSIONS_EACH: Final = 10  # of each person
LOGINS: Final = 64  # persons with a password
SERVICE_TOKEN: Final = "s000000000001"

SQL: Final = Path(__file__).parent / "sql"


def run(connection: psycopg.Connection, name: str, **parameters: object) -> None:
    """Run the statement of that file in `sql/`."""
    connection.execute((SQL / f"{name}.sql").read_bytes(), parameters)


def fill(url: str, rows: int, password_hash: str = "a", claims: int = 0) -> None:
    """That many refresh tokens, claims (0: as many), a tenth as many persons, and persons who log in."""
    people = rows // SESSIONS_EACH
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET maintenance_work_mem = '512MB'")
        connection.execute("SET session_replication_role = replica")  # no check of each row's foreign keys
        run(connection, "stop_indexes")
        run(connection, "principals", people=people, logins=LOGINS, password_hash=password_hash)
        run(connection, "refresh_tokens", letter="t", owner=None, people=people, count=rows)
        run(connection, "refresh_tokens", letter="s", owner="_bench", people=None, count=1)
        run(connection, "jti_claims", count=claims or rows)
        for statement in ("REINDEX TABLE refresh_token", "REINDEX TABLE jti_claim", "VACUUM ANALYZE", "CHECKPOINT"):
            connection.execute(statement)


def add_spare_tokens(url: str, count: int) -> None:
    """Refresh tokens b000000000001 and so on, of a person without others."""
    with psycopg.connect(url, autocommit=True) as connection:
        run(connection, "refresh_tokens", letter="b", owner="person-0", people=None, count=count)
        connection.execute("VACUUM ANALYZE refresh_token")
