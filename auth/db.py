"""The statements of `sql/` by their names, and the connections that run them.

Each statement is one round trip, in autocommit unless a command has opened a transaction. The threads of the service
share the connections of `Pool`, and each request has one deadline for all its waits.

No statement is repeated: when a connection breaks, the outcome is unknown, and only the client may decide to ask again.
"""

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Final

from auth.connection import Connection, Cursor, Result, TransactionStatus
from auth.connection import Row as Row
from auth.core.errors import DatabaseUnavailable

SQL_FOLDER: Final = Path(__file__).parent.parent / "sql"
STATEMENTS: Final = {path.stem: path.read_bytes() for path in SQL_FOLDER.glob("*.sql")}
# Statements whose names end so do not wait for a standby. All others need a connection for writes.
READS: Final = ("_find", "_list", "_latest", "_return")

CONNECTIONS: Final = 12  # a process has at most this many
WRITE_CONNECTIONS: Final = 8  # this many may write; the others are for reads while commits wait for a standby

REQUEST_SECONDS: Final = 2.6  # all statements and waits of a request together; the contract allows 3 for the answer
SLOT_SECONDS: Final = 0.8  # the longest wait for a connection
ANSWER_SECONDS: Final = 1.7  # the longest wait for a statement; the rest is for `login_attempt_return`
STATEMENT_SECONDS: Final = 1.5  # the timeout in PostgreSQL, so that it answers before we give up

Slots = Sequence[SimpleQueue[None]]  # of a queue, each item is a free slot


class Database:
    """Runs statements by name. Raises `DatabaseUnavailable`, or `InternalError` for what PostgreSQL cannot store."""

    def __init__(self, lease: Callable[[bool], AbstractContextManager[Connection]]) -> None:
        """`lease(writes)` gives a connection to a `with` block. `writes`: whether the statement may write."""
        self.connection = lease

    def one(self, name: str, /, **parameters: object) -> Row | None:
        """The statement's only row, or None if it returns none."""
        return self._execute(name, parameters, lambda cursor: cursor.fetchone())

    def many(self, name: str, /, **parameters: object) -> list[Row]:
        return self._execute(name, parameters, lambda cursor: cursor.fetchall())

    def run(self, name: str, /, **parameters: object) -> int:
        """How many rows the statement touched."""
        return self._execute(name, parameters, lambda cursor: cursor.rowcount)

    def _execute(self, name: str, parameters: Row, result: Callable[[Cursor], Result]) -> Result:
        with self.connection(not name.endswith(READS)) as connection:
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


class Pool(Database):
    """For the service: threads share some connections, and every wait ends."""

    def __init__(self, url: str) -> None:
        super().__init__(self.lease)
        self._url = url
        self._idle: list[Connection] = []  # the one given back last is taken first
        self._slots, self._write_slots = SimpleQueue[None](), SimpleQueue[None]()  # `Semaphore` is eight times as slow
        _free([self._slots] * CONNECTIONS + [self._write_slots] * WRITE_CONNECTIONS)
        self._background = ThreadPoolExecutor(CONNECTIONS, "database")  # to open and cancel, which may take long

    def close(self) -> None:
        with suppress(IndexError):
            while True:
                self._idle.pop().close()

    def lease(self, writes: bool, deadline: float | None = None) -> Connection:
        """A connection for a `with` block. `deadline`: in seconds of `monotonic`. Raises `DatabaseUnavailable`."""
        deadline = deadline or monotonic() + REQUEST_SECONDS
        slots = (self._write_slots, self._slots) if writes else (self._slots,)
        _take(slots, min(deadline, monotonic() + SLOT_SECONDS))
        try:
            while (connection := self._idle.pop()).input_within(0):
                connection.close()
        except IndexError:
            try:
                self._background.submit(self._open_idle, slots).result(deadline - monotonic())
            except (TimeoutError, RuntimeError) as fault:  # RuntimeError: no thread could start; the task waits
                raise DatabaseUnavailable(cause=type(fault).__name__) from fault
            return self.lease(writes, deadline)
        connection.deadline = min(deadline, monotonic() + ANSWER_SECONDS)
        connection.give_back = partial(self._give_back, connection, slots)
        return connection

    def _open_idle(self, slots: Slots) -> None:
        try:
            self._idle.append(open_connection(self._url, STATEMENT_SECONDS, ANSWER_SECONDS))
        finally:
            _free(slots)

    def _give_back(self, connection: Connection, slots: Slots) -> None:
        if connection.unfinished:
            with suppress(RuntimeError):  # no thread could start; the task waits for a later one
                self._background.submit(connection.cancel_unfinished)
            return
        if connection.pgconn.transaction_status == TransactionStatus.IDLE:
            self._idle.append(connection)
        else:
            connection.close()
            self.close()  # the same fault has probably broken the idle connections too
        _free(slots)


def _take(slots: Slots, deadline: float) -> None:
    for number, each in enumerate(slots):
        try:
            each.get(timeout=deadline - monotonic())
        except (Empty, ValueError):  # ValueError: the deadline has passed
            _free(slots[:number])
            raise DatabaseUnavailable(cause="NoFreeConnection") from None


def _free(slots: Slots) -> None:
    for each in slots:
        each.put(None)
