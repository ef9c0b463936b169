"""The statements of `sql/` by their names. They run in autocommit, each one round trip.

No statement is repeated: when a connection breaks, the outcome is unknown, and only the client may decide to ask again.
"""

import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Semaphore
from time import monotonic
from typing import Final

from auth.connection import Connection, Cursor, Result
from auth.connection import Row as Row
from auth.core.errors import DatabaseUnavailable

CONNECTIONS: Final = 12  # of a process, at most
WRITE_CONNECTIONS: Final = 8  # of these; the others are left for reads while commits hang

SLOT_SECONDS: Final = 0.8  # the longest wait for a connection; opening one may add 2 seconds for each host
ANSWER_SECONDS: Final = 1.7
STATEMENT_SECONDS: Final = 1.5  # the server's own bound, by which it answers before we give up

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
        self._url = url

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
            return result(connection.only_cursor.execute(STATEMENTS[name], parameters))
        finally:
            self._give_back(connection, writes)

    def _take(self, writes: bool) -> Connection:
        return Connection.open(self._url)

    def _give_back(self, connection: Connection, writes: bool) -> None:
        connection.close()


class Transaction(DirectDatabase):
    """The same methods, in one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def _take(self, writes: bool) -> Connection:
        return self._connection

    def _give_back(self, connection: Connection, writes: bool) -> None:
        """The transaction goes on."""


class Database(DirectDatabase):
    """For the service: threads share some connections, and every wait ends. A transaction has `ANSWER_SECONDS`."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._idle: list[Connection] = []  # the last one given back is the next one taken
        self._generation = object()  # replaced after a fault: earlier connections are not used again
        self._slots = Semaphore(CONNECTIONS)
        self._write_slots = Semaphore(WRITE_CONNECTIONS)
        self._cancelling = ThreadPoolExecutor(CONNECTIONS, "cancel")  # no call waits for a cancellation

    def close(self) -> None:
        """Close the idle connections; one in use is closed when it is given back."""
        self._generation = object()
        while self._idle:
            self._idle.pop().close()

    def _take(self, writes: bool) -> Connection:
        self._take_slots(writes)
        try:
            return self._pop_idle() or self._connect()
        except BaseException:
            self._free_slots(writes)
            raise

    def _give_back(self, connection: Connection, writes: bool) -> None:
        if connection.unfinished:
            self._cancelling.submit(self._cancel, connection, writes)
            return
        if connection.closed and connection.generation is self._generation:
            self._generation = object()  # what broke this one has most likely broken the idle ones too
        if connection.is_idle and connection.generation is self._generation:
            self._idle.append(connection)
        else:
            connection.close()
        self._free_slots(writes)

    def _cancel(self, connection: Connection, writes: bool) -> None:
        connection.cancel_unfinished()
        self._give_back(connection, writes)

    def _take_slots(self, writes: bool) -> None:
        ends_at = monotonic() + SLOT_SECONDS
        if writes and not self._write_slots.acquire(timeout=SLOT_SECONDS):
            raise DatabaseUnavailable(cause="NoFreeConnection")
        if not self._slots.acquire(timeout=max(ends_at - monotonic(), 0)):
            if writes:
                self._write_slots.release()
            raise DatabaseUnavailable(cause="NoFreeConnection")

    def _free_slots(self, writes: bool) -> None:
        self._slots.release()
        if writes:
            self._write_slots.release()

    def _pop_idle(self) -> Connection | None:
        try:
            while (connection := self._idle.pop()).generation is not self._generation:
                connection.close()
        except IndexError:
            return None
        connection.deadline = monotonic() + ANSWER_SECONDS
        return connection

    def _connect(self) -> Connection:
        generation, connection = self._generation, super()._take(writes=False)
        connection.deadline = monotonic() + ANSWER_SECONDS
        bounds = {"milliseconds": str(int(STATEMENT_SECONDS * 1000)), "backend_pid": connection.info.backend_pid}
        try:
            if not connection.execute(STATEMENTS["connection_configure"], bounds).fetchone():
                connection.prepare_threshold = None  # PgBouncer's sessions do not keep prepared statements
        except BaseException:
            connection.close()
            raise
        connection.generation = generation
        return connection
