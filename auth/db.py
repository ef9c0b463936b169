"""The statements of `sql/` by their names. They run in autocommit, each one round trip.

No statement is repeated: when a connection breaks, the outcome is unknown, and only the client may decide to ask again.
"""

import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from time import monotonic
from typing import Final

from auth.connection import Connection, Cursor, Result
from auth.connection import Row as Row

SQL_FOLDER: Final = Path(__file__).parent.parent / "sql"
STATEMENTS: Final = {path.stem: path.read_bytes() for path in SQL_FOLDER.glob("*.sql")}
# Statements whose names end so do not wait for a standby. All others need a connection for writes.
READS: Final = ("_find", "_list", "_latest", "_return")


class Database:
    """Runs statements by name. Raises `DatabaseUnavailable`, or `InternalError` for what PostgreSQL cannot store."""

    def __init__(self, lease: Callable[[bool], AbstractContextManager[Connection]]) -> None:
        """`lease` gets whether the connection is for writes, and returns the connection for a `with` block."""
        self._lease = lease

    def one(self, name: str, /, **parameters: object) -> Row | None:
        """The statement's only row, or None if it returns none."""
        return self._execute(name, parameters, lambda cursor: cursor.fetchone())

    def many(self, name: str, /, **parameters: object) -> list[Row]:
        return self._execute(name, parameters, lambda cursor: cursor.fetchall())

    def run(self, name: str, /, **parameters: object) -> int:
        """How many rows the statement touched."""
        return self._execute(name, parameters, lambda cursor: cursor.rowcount)

    def script(self, text: str) -> None:
        """Run the statements of a migration, one after another. PostgreSQL makes them one transaction."""
        with self._lease(True) as connection:
            connection.execute(text)

    def _execute(self, name: str, parameters: Row, result: Callable[[Cursor], Result]) -> Result:
        with self._lease(not name.endswith(READS)) as connection:
            # Settings such as extra_float_digits change only text results. A binary result of a statement without
            # parameters would keep a snapshot in a transaction, and CREATE INDEX CONCURRENTLY would wait for it.
            return result(connection.cursor_of(name).execute(STATEMENTS[name], parameters, binary=bool(parameters)))


def open_connection(url: str, statement_seconds: float, answer_seconds: float = math.inf) -> Connection:
    """A new connection with the settings that the statements need. 0 seconds: no timeout."""
    connection = Connection.open(url)
    connection.deadline = monotonic() + answer_seconds  # connecting may have taken 2 seconds for each silent host
    values = {"milliseconds": str(int(statement_seconds * 1000)), "backend_pid": connection.info.backend_pid}
    try:
        if not connection.execute(STATEMENTS["connection_configure"], values).fetchone():
            connection.prepare_threshold = None  # PgBouncer's sessions do not keep prepared statements
    except BaseException:
        connection.close()
        raise
    return connection
