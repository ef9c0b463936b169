"""What PostgreSQL does for the statements that `statements.py` has values for, on large tables.

    .venv/bin/python -m dev.bench.plans [rows, 10 million by default]

Prints the milliseconds of planning and running, the pages of 8 KiB, and the indexes that it uses, of the median run.
"""

import re
import sys
from typing import Any, Final

import psycopg

from .load import show
from .rows import SESSIONS_EACH
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
        people, texts = rows // SESSIONS_EACH, statements()
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("SET plan_cache_mode = force_generic_plan")
            for name in texts:
                _print(name, [_run(connection, name, texts[name], n) for n in range(2, people, people // RUNS)])


def _run(connection: psycopg.Connection, name: str, text: str, n: int) -> dict[str, Any]:
    """What EXPLAIN says of the statement's one plan for all values, run for that person; effects are rolled back."""
    names = parameters(text)
    numbered = PLACEHOLDER.sub(lambda match: f"${names.index(match[1]) + 1}", text)
    values = ", ".join(value(name, parameter) for parameter in names)
    values = values.replace(":attempted_at", "0").replace(":n", str(n))
    with connection.transaction(force_rollback=True):
        connection.execute("DEALLOCATE ALL")
        connection.execute(f"PREPARE explained AS {numbered}")
        options = "ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON"
        ((plans,),) = connection.execute(f"EXPLAIN ({options}) EXECUTE explained ({values})").fetchall()
        return dict(plans[0])


def _print(name: str, runs: list[dict[str, Any]]) -> None:
    run = sorted(runs, key=lambda run: run["Execution Time"])[len(runs) // 2]
    pages = run["Plan"]["Shared Hit Blocks"] + run["Plan"]["Shared Read Blocks"]
    indexes = re.findall(r"'Index Name': '(\w+)'", str(run))
    whole = re.findall(r"'Seq Scan'[^{}]*'Relation Name': '(\w+)'", str(run))
    how = ", ".join(sorted({*indexes, *(f"ALL OF {table}" for table in whole)}))
    print(f"{name:30} {run['Planning Time']:6.2f} ms, {run['Execution Time']:6.2f} ms, {pages:4} pages: {how}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else ROWS)
