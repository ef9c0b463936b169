"""The statements of `sql/` by their names. They run in autocommit, each one round trip.

No statement is repeated: when a connection breaks, the outcome is unknown, and only the client may decide to ask again.
"""

import math
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from auth.connection import Connection, Cursor, Result
from auth.connection import Row as Row

SQL_FOLDER: Final = Path(__file__).parent.parent / "sql"
STATEMENTS: Final = {path.stem: path.read_text() for path in SQL_FOLDER.glob("*.sql")}
_WRITE: Final = re.compile(r"^((?!--).)*\b(INSERT|UPDATE|DELETE|SHARE)\b", re.MULTILINE)  # outside of comments
# A commit that does not wait for a standby needs no connection for writes.
WRITES: Final = {
    name for name, text in STATEMENTS.items() if _WRITE.search(text) and "set_config('synchronous_commit'" not in text
}


class DirectDatabase:
    """For commands: a connection for each statement or transaction, and no timeout for statements.

    Raises `DatabaseUnavailable` for every fault, and `InternalError` for what the database refuses to store.
    """

    def __init__(self, url: str) -> None:
        self.url = url

    def one(self, name: str, /, **parameters: object) -> Row | None:
        """The statement's only row, or None when it returns none."""
        return self._execute(name, parameters, Cursor.fetchone)

    def many(self, name: str, /, **parameters: object) -> list[Row]:
        return self._execute(name, parameters, Cursor.fetchall)

    def run(self, name: str, /, **parameters: object) -> int:
        """How many rows the statement touched."""
        return self._execute(name, parameters, lambda cursor: cursor.rowcount)

    def script(self, text: str) -> None:
        """Run the statements of a migration, one after another. PostgreSQL makes them one transaction."""
        connection = self._take(writes=True)
        try:
            connection.execute(text)
        finally:
            self._give_back(connection, writes=True)

    @contextmanager
    def transaction(self) -> Iterator["Transaction"]:
        """One transaction for statements that must agree; rolled back when the block raises."""
        connection = self._take(writes=True)
        try:
            with connection.transaction():
                yield Transaction(connection)
        finally:
            self._give_back(connection, writes=True)

    def _execute(self, name: str, parameters: Row, result: Callable[[Cursor], Result]) -> Result:
        writes = name in WRITES
        connection = self._take(writes)
        try:
            # Settings such as extra_float_digits change only text. Without parameters a binary result would keep a
            # snapshot in a transaction, for which CREATE INDEX CONCURRENTLY waits.
            return result(connection.only_cursor.execute(STATEMENTS[name], parameters, binary=bool(parameters)))
        finally:
            self._give_back(connection, writes)

    def _take(self, writes: bool) -> Connection:
        return self._open(0)

    def _give_back(self, connection: Connection, writes: bool) -> None:
        connection.close()

    def _open(self, statement_seconds: float, deadline: float = math.inf) -> Connection:
        """A new connection, whose session has the settings that the statements need. 0 seconds: no timeout."""
        connection = Connection.open(self.url)
        connection.deadline = deadline
        values = {"milliseconds": str(int(statement_seconds * 1000)), "backend_pid": connection.info.backend_pid}
        try:
            if not connection.execute(STATEMENTS["connection_configure"], values).fetchone():
                connection.prepare_threshold = None  # PgBouncer's sessions do not keep prepared statements
        except BaseException:
            connection.close()
            raise
        return connection


class Transaction(DirectDatabase):
    """The same methods, in one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def _take(self, writes: bool) -> Connection:
        return self._connection

    def _give_back(self, connection: Connection, writes: bool) -> None:
        """The transaction goes on."""
