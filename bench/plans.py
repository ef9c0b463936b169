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
from uuid import uuid4

import psycopg

from auth import limits
from tests.plans import explain

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


def limit_keys(n: int) -> list[bytes]:
    """Of the person's three limits on guessing."""
    return [sha256(f"{kind}{n}".encode()).digest() for kind in ("pair", "network", "username")]


def statements(n: int, session_id: object) -> dict[str, dict[str, Any]]:
    """The statements of requests, with values that find person `n`, one of its tokens, and that session of its."""
    pair, network, username = limit_keys(n)
    token, fresh, person = sha256(f"t{n:012}".encode()).digest(), sha256(uuid4().bytes).digest(), f"person-{n}"
    new = {"token_hash": fresh, "principal_id": person, "scopes": ["all:write"], "access_token_lifetime_ms": 600_000}
    expired = {"claim_days": limits.CLAIM_DAYS}
    return {
        "expired_delete": {"batch": limits.PURGE_ROWS} | expired,
        "extension_find": {"principal_id": person, "service_id": "_nobody"},
        "jti_claim_insert": {"jti": str(uuid4())},
        "login_attempt_return": {"keys": [pair, network, username], "attempted_at": ATTEMPTED},
        "login_attempt_start": {
            "pair": pair,
            "network": network,
            "username": username,
            "principal_id": person,
            "network_address": "203.0.113.7/32",
            "pair_failures": limits.LOCKOUT_PAIR_FAILURES,
            "pair_seconds": limits.LOCKOUT_PAIR_SECONDS,
            "wide_failures": limits.LOCKOUT_WIDE_FAILURES,
            "username_seconds": limits.LOCKOUT_USERNAME_SECONDS,
            "most_severe": limits.LOCKOUT_SEVERITY,
            "severity_seconds": limits.LOCKOUT_SEVERITY_SECONDS,
            "memory_seconds": limits.LOCKOUT_MEMORY_SECONDS,
        },
        "login_find": {"username": person, "service": "app"},
        "login_limit_insert": {"keys": [uuid4().bytes * 2], "memory_seconds": limits.LOCKOUT_MEMORY_SECONDS},
        "principal_find": {"id": person},
        "principal_rehash": {"id": person, "old_hash": "a", "new_hash": "b"},
        "refresh_token_delete": {"token_hash": token},
        "refresh_token_delete_many": {"token_hashes": [sha256(f"t{n + k:012}".encode()).digest() for k in range(100)]},
        "refresh_token_find": {"token_hash": token},
        "refresh_token_insert_extended": new
        | {"extended_by": "person-0", "extended_by_chain": ["person-0"], "ttl_days": 30},
        "session_delete": {"session_id": session_id, "principal_id": person},
        "session_delete_all": {"principal_id": person},
        "session_insert": new
        | {"password_generation": 0, "ttl_seconds": None, "ip_address": "203.0.113.7", "user_agent": "curl/8"}
        | {"keys": [pair, network, username], "attempted_at": ATTEMPTED}
        | expired,
        "session_list": {"principal_id": person, "items_per_page": SESSIONS, "offset": 0},
    }


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
            for name in statements(1, None):
                runs = [_run(connection, name, 1 + turn * (rows // SESSIONS // RUNS)) for turn in range(RUNS)]
                planning, running = (
                    statistics.median(run[f"{stage} Time"] for run in runs) for stage in ("Planning", "Execution")
                )
                pages = max(run["Plan"]["Shared Hit Blocks"] + run["Plan"]["Shared Read Blocks"] for run in runs)
                how = ", ".join(sorted(set(scans(runs[0]["Plan"]))))
                print(f"{name:30} planned {planning:6.2f} ms, run {running:6.2f} ms, {pages:4} pages: {how}")


def _run(connection: psycopg.Connection, name: str, n: int) -> dict[str, Any]:
    connection.execute(COUNTED, [ATTEMPTED, limit_keys(n)])
    connection.execute(PASSWORD, [f"person-{n}"])
    session_id = connection.execute(
        "SELECT public_session_reference FROM refresh_token WHERE principal_id = %s LIMIT 1", [f"person-{n}"]
    ).fetchone()
    values = statements(n, session_id and session_id[0])[name]
    ((plan,),) = explain(connection, name, values, "ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON")
    found: dict[str, Any] = plan
    return found


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else ROWS)
