"""What PostgreSQL does for every statement of a request on large tables.

    .venv/bin/python -m bench.plans [rows, 10 million by default]

Prints, of each, how its tables are read, the milliseconds that planning and running take, the median of several runs on
other rows each, and the most pages of 8 KiB that one run touched.
"""

import statistics
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final

import psycopg

from tests.plans import PER_REQUEST, explain

from .limit import prepare_statements
from .rounds import tell
from .rows import SESSIONS
from .service import database, postgres

RUNS: Final = 20
ROWS: Final = 10_000_000
ATTEMPTED: Final = datetime(2026, 1, 1, tzinfo=UTC)
COUNTED: Final = "UPDATE login_limit SET failures = ARRAY[%s] WHERE key = ANY (%s)"
EXPIRED: Final = """
    INSERT INTO jti_claim SELECT 'expired-' || n, now() - interval '31 days' FROM generate_series(1, 1000) AS n
"""
PASSWORD: Final = "UPDATE principal SET password_hash = 'a' WHERE id = %s"


def digest(text: str) -> bytes:
    return sha256(text.encode()).digest()


def values(name: str, n: int, session_id: object) -> dict[str, Any]:
    """Values with which the statement finds person `n`, that session of its, or the token of that number."""
    person, limits = f"person-{n}", limits_of(n)
    found = {
        "id": person,
        "principal_id": person,
        "session_id": session_id,
        "service": "app",
        "old_hash": "a",
        "network_address": "203.0.113.7/32",
        "attempted_at": ATTEMPTED,
        "extended_by": "person-0",
        "extended_by_chain": ["person-0"],
        "token_hashes": [digest(f"t{n + k:012}") for k in range(100)],
    }
    if name in ("refresh_token_find", "refresh_token_delete"):
        found["token_hash"] = digest(f"t{n:012}")
    if name in ("login_attempt_return", "session_insert"):
        found["keys"] = list(limits.values())
    if name == "login_attempt_start":
        found |= limits
    if name == "login_find":
        found["username"] = person
    return {parameter: found.get(parameter, value) for parameter, value in PER_REQUEST[name].items()}


def limits_of(n: int) -> dict[str, bytes]:
    """The keys of the person's three limits on guessing."""
    return {kind: digest(f"{kind}{n}") for kind in ("pair", "network", "username")}


def scans(plan: dict[str, Any]) -> Iterator[str]:
    """How its tables are read, by which index."""
    if "Index Name" in plan:
        yield plan["Index Name"]
    elif plan["Node Type"] == "Seq Scan":
        yield f"ALL OF {plan['Relation Name']}"
    for child in plan.get("Plans", []):
        yield from scans(child)


def main(rows: int) -> None:
    with postgres() as server_url, database(server_url, "plans") as url:
        tell(f"filling tables with {rows:,} rows")
        prepare_statements(url, rows)
        tell("")
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(EXPIRED)
            connection.execute("VACUUM ANALYZE")
            for name in PER_REQUEST:
                runs = [_run(connection, name, 1 + turn * (rows // SESSIONS // RUNS)) for turn in range(RUNS)]
                planning, running = (
                    statistics.median(run[f"{stage} Time"] for run in runs) for stage in ("Planning", "Execution")
                )
                pages = max(run["Plan"]["Shared Hit Blocks"] + run["Plan"]["Shared Read Blocks"] for run in runs)
                how = ", ".join(sorted(set(scans(runs[0]["Plan"]))))
                print(f"{name:30} planned {planning:6.2f} ms, run {running:6.2f} ms, {pages:4} pages: {how}")


def _run(connection: psycopg.Connection, name: str, n: int) -> dict[str, Any]:
    connection.execute(COUNTED, [ATTEMPTED, list(limits_of(n).values())])
    connection.execute(PASSWORD, [f"person-{n}"])
    session_id = connection.execute(
        "SELECT public_session_reference FROM refresh_token WHERE principal_id = %s LIMIT 1", [f"person-{n}"]
    ).fetchone()
    arguments = values(name, n, session_id and session_id[0])
    ((plan,),) = explain(connection, name, arguments, "ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON")
    found: dict[str, Any] = plan
    return found


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else ROWS)
