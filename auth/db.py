"""The database: the statements of `sql/` by their names, on connections that the threads of a process share.

Statements run in autocommit, each one round trip. Nothing is ever repeated here: when a connection breaks after a
statement was sent, its outcome is unknown, and only the client may decide to ask again.
"""

import logging
import math
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from threading import Semaphore
from time import monotonic
from typing import Any, Final, TypeVar

import psycopg
from psycopg import errors as pg
from psycopg.abc import PQGen
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import TransactionStatus
from psycopg.rows import dict_row

from .errors import ApiError, DatabaseUnavailable, Unstorable
from .metrics import DATABASE_ERRORS

Row = dict[str, Any]
Cursor = psycopg.Cursor[Row]
Result = TypeVar("Result")

CONNECTIONS: Final = 12  # of a process, at most
WRITE_CONNECTIONS: Final = 8  # of these; the others are left for reads while commits hang

# A call waits for a connection, for its answer, and for the end of a statement that it gives up: less than 3 seconds.
SLOT_SECONDS: Final = 0.8
ANSWER_SECONDS: Final = 1.7
CANCEL_SECONDS: Final = 0.2  # for the request to cancel, and again for its effect
STATEMENT_SECONDS: Final = 1.5  # the server's own bound, by which it answers before we give up
CONNECT_OPTIONS: Final[dict[str, Any]] = {
    "autocommit": True,
    "row_factory": dict_row,
    "connect_timeout": 2,  # psycopg takes no less
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 2,
    "tcp_user_timeout": 2500,
    "application_name": "auth",
    "client_encoding": "utf8",
}
# SQLSTATEs that mean a connection is of no more use: read-only after a failover, a server that stops or starts, a
# broken link, no resources, and statements prepared before a column changed its type.
CONNECTION_FAULTS: Final = ("25006", "57P01", "57P02", "57P03", "08", "53", "0A000")

SQL_FOLDER: Final = Path(__file__).parent.parent / "sql"
STATEMENTS: Final = {path.stem: path.read_text() for path in SQL_FOLDER.glob("*.sql")}
_WRITE: Final = re.compile(r"^((?!--).)*\b(INSERT|UPDATE|DELETE|SHARE)\b", re.MULTILINE)  # outside of comments
WRITES: Final = {name for name, text in STATEMENTS.items() if _WRITE.search(text)}

logger = logging.getLogger(__name__)


class NoFreeConnection(psycopg.OperationalError):
    """All connections stayed in use for as long as a call may wait for one."""


class Connection(psycopg.Connection[Row]):
    """A connection that gives up in time and closes itself when it is of no more use. Raises errors of ours."""

    gives_up_at = math.inf  # by the monotonic clock
    generation: object = None

    @cached_property
    def only_cursor(self) -> Cursor:
        """For every statement: to make a cursor for each takes longer than to send it."""
        return self.cursor()

    def wait(self, gen: PQGen[Result], interval: float = 0.1, timeout: float | None = None) -> Result:
        try:
            return super().wait(gen, interval, self.gives_up_at - monotonic())
        except psycopg.Error as fault:
            if isinstance(fault, pg._WaitTimeout):
                self._cancel(gen)
            elif (fault.sqlstate or "").startswith(CONNECTION_FAULTS):
                self.close()
            raise _error(fault) from fault

    def _cancel(self, gen: PQGen[Any]) -> None:
        """Closing the connection alone would not end a commit that waits for a standby."""
        try:
            self.cancel_safe(timeout=CANCEL_SECONDS)
            super().wait(gen, timeout=CANCEL_SECONDS)
        except pg.QueryCanceled:
            pass
        except psycopg.Error:
            self.close()


class DirectDatabase:
    """For commands: a connection for each statement or transaction, and no bounds on time.

    Raises `DatabaseUnavailable` for every fault, and `Unstorable` for what the database refuses to store.
    """

    def __init__(self, url: str) -> None:
        self._url = url

    def one(self, name: str, /, **parameters: object) -> Row | None:
        """The statement's only row, or None when it returns none."""
        return self._execute(name, parameters, psycopg.Cursor.fetchone)

    def many(self, name: str, /, **parameters: object) -> list[Row]:
        """All the statement's rows."""
        return self._execute(name, parameters, psycopg.Cursor.fetchall)

    def run(self, name: str, /, **parameters: object) -> int:
        """How many rows the statement touched."""
        return self._execute(name, parameters, lambda cursor: cursor.rowcount)

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
        try:
            return Connection.connect(self._url, **CONNECT_OPTIONS)
        except psycopg.Error as fault:
            raise _error(fault) from fault

    def _give_back(self, connection: Connection, writes: bool) -> None:
        connection.close()


class Transaction(DirectDatabase):
    """The same methods, in one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def script(self, text: str) -> None:
        """Run the statements of a migration, one after another."""
        self._connection.execute(text)

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
        if connection.closed and connection.generation is self._generation:
            self._generation = object()  # what broke this one has most likely broken the idle ones too
        if connection.generation is self._generation and connection.info.transaction_status == TransactionStatus.IDLE:
            self._idle.append(connection)
        else:
            connection.close()
        self._free_slots(writes)

    def _take_slots(self, writes: bool) -> None:
        ends_at = monotonic() + SLOT_SECONDS
        if writes and not self._write_slots.acquire(timeout=SLOT_SECONDS):
            raise _error(NoFreeConnection())
        if not self._slots.acquire(timeout=max(ends_at - monotonic(), 0)):
            if writes:
                self._write_slots.release()
            raise _error(NoFreeConnection())

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
        connection.gives_up_at = monotonic() + ANSWER_SECONDS
        return connection

    def _connect(self) -> Connection:
        generation, connection = self._generation, super()._take(writes=False)
        connection.gives_up_at = monotonic() + ANSWER_SECONDS
        bounds = {"milliseconds": str(int(STATEMENT_SECONDS * 1000)), "backend_pid": connection.info.backend_pid}
        try:
            if not connection.execute(STATEMENTS["connection_configure"], bounds).fetchone():
                connection.prepare_threshold = None  # PgBouncer's sessions do not keep prepared statements
        except BaseException:
            connection.close()
            raise
        connection.generation = generation
        return connection


def is_database_url(text: str) -> bool:
    """Whether libpq understands the text as the URL of a PostgreSQL database."""
    try:
        conninfo_to_dict(text)
    except psycopg.Error:
        return False
    return text.startswith(("postgres://", "postgresql://"))


def _error(fault: psycopg.Error) -> ApiError:
    """The error of ours for a fault, which is counted and logged."""
    kind = type(fault).__name__.lstrip("_")
    DATABASE_ERRORS.labels(kind).inc()
    logger.warning("database fault: %s %s", kind, fault.sqlstate or "")
    return Unstorable() if isinstance(fault, (psycopg.DataError, psycopg.IntegrityError)) else DatabaseUnavailable()
