"""The plans that PostgreSQL keeps for our statements."""

import re
from collections.abc import Mapping
from typing import Any

import psycopg

from auth.db import SQL_FOLDER

PLACEHOLDER = re.compile(r"%\((\w+)\)s")


def explain(connection: psycopg.Connection[Any], name: str, values: Mapping[str, Any], options: str) -> Any:
    """What EXPLAIN says of the statement's one plan for all values, run with these; its effects are rolled back."""
    text = (SQL_FOLDER / f"{name}.sql").read_text()
    parameters = list(dict.fromkeys(PLACEHOLDER.findall(text)))
    statement = PLACEHOLDER.sub(lambda found: f"${parameters.index(found[1]) + 1}", text)
    arguments = ", ".join(["%s"] * len(parameters))
    cursor = psycopg.ClientCursor(connection)
    with connection.transaction(force_rollback=True):
        cursor.execute("SET LOCAL plan_cache_mode = force_generic_plan")
        cursor.execute("DEALLOCATE ALL")
        cursor.execute(f"PREPARE explained AS {statement}")
        cursor.execute(f"EXPLAIN ({options}) EXECUTE explained ({arguments})", [values[each] for each in parameters])
        return [row[0] for row in cursor.fetchall()]
