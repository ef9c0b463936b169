"""What PostgreSQL does for every statement on large tables.

    .venv/bin/python -m dev.bench.plans [rows, 10 million by default]

Prints, of each, how its tables are read, the milliseconds that planning and running take, the median of several runs on
other rows each, and the most pages of 8 KiB that one run touched.
"""

import statistics
import sys
from collections.abc import Iterator
from typing import Any, Final

import psycopg

from .load import show
from .rows import SESSIONS
from .service import database, environment, postgres
from .statements import PLACEHOLDER, parameters, prepare, statements, value

RUNS: Final = 20
ROWS: Final = 10_000_000


def main(rows: int) -> None:
    show(f"filling tables with {rows:,} rows")
    with postgres() as server_url, database(server_url, "plans") as url:
        environment(url)
        prepare(url, rows)
        show("")
        people, texts = rows // SESSIONS, statements()
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("SET plan_cache_mode = force_generic_plan")
            for name in texts:
                _print(name, [_run(connection, name, texts[name], n) for n in range(2, people, people // RUNS)])


def _run(connection: psycopg.Connection, name: str, text: str, n: int) -> dict[str, Any]:
    """What EXPLAIN says of the statement's one plan for all values, run for that person; effects are rolled back."""
    names = parameters(text)
    numbered = PLACEHOLDER.sub(lambda match: f"${names.index(match[1]) + 1}", text)
    values = ", ".join(value(name, parameter) for parameter in names)
    values = values.replace(":attempted_at", "'2026-01-01'").replace(":n", str(n))
    with connection.transaction(force_rollback=True):
        connection.execute("DEALLOCATE ALL")
        connection.execute(f"PREPARE explained AS {numbered}")
        options = "ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON"
        ((plans,),) = connection.execute(f"EXPLAIN ({options}) EXECUTE explained ({values})").fetchall()
        return dict(plans[0])


def _print(name: str, runs: list[dict[str, Any]]) -> None:
    planning, running = (statistics.median(run[f"{stage} Time"] for run in runs) for stage in ("Planning", "Execution"))
    pages = max(run["Plan"]["Shared Hit Blocks"] + run["Plan"]["Shared Read Blocks"] for run in runs)
    how = ", ".join(sorted(set(_scans(runs[0]["Plan"]))))
    print(f"{name:30} planned {planning:6.2f} ms, run {running:6.2f} ms, {pages:4} pages: {how}")


def _scans(plan: dict[str, Any]) -> Iterator[str]:
    """How its tables are read, by which index."""
    if "Index Name" in plan:
        yield plan["Index Name"]
    elif plan["Node Type"] == "Seq Scan":
        yield f"ALL OF {plan['Relation Name']}"
    for child in plan.get("Plans", []):
        yield from _scans(child)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else ROWS)
