"""The database: a pool of connections, and one method for each number of rows that a statement in `sql/` returns.

Statements run in autocommit, each one round trip. Nothing is ever repeated here: when a connection breaks after a
statement was sent, its outcome is unknown, and only the caller's caller may decide to ask again.
"""

import logging
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import psycopg
from psycopg import errors as pg
from psycopg.abc import PQGen
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import dict_row
from psycopg_pool import ConnectionPool

from .errors import DatabaseUnavailable, Unstorable
from .metrics import DATABASE_ERRORS, POOL_IN_USE, POOL_WAITING

Row = dict[str, Any]
AnyConnection = psycopg.Connection[Row]
Result = TypeVar("Result")

SQL_FOLDER: Final = Path(__file__).parent.parent / "sql"

# A request waits for a connection and then for one statement; together these stay below the 3 seconds within
# which every outage must be answered, and below 6 for a peer that accepts and never answers.
POOL_WAIT_SECONDS: Final = 1.2
STATEMENT_SECONDS: Final = 1.5
SILENCE_SECONDS: Final = 2.5
CONNECT_SECONDS: Final = 2  # libpq's least
RECONNECT_SECONDS: Final = 1.5  # then a waiting request starts a new attempt, however long the outage was
CONNECTIONS: Final = 12  # of a worker process, at most; as many threads serve calls that hash nothing
DEFAULT_POOL_SIZE: Final = 4
IDLE_CONNECTIONS: Final = 4  # kept open; the pool grows from there to a connection for each thread

_UNAVAILABLE: Final = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    psycopg.InternalError,
    pg.UndefinedTable,  # not migrated yet
    pg.UndefinedColumn,
    pg.UndefinedFunction,
    pg.InvalidSchemaName,
    pg.InsufficientPrivilege,
)
# Faults of this one connection: read-only after a failover, a server that shuts down, starts or was shut down.
_CONNECTION_FAULTS: Final = ("25006", "57P01", "57P02", "57P03", "08")

_CONNECT_OPTIONS: Final[dict[str, Any]] = {
    "autocommit": True,
    "row_factory": dict_row,
    "connect_timeout": CONNECT_SECONDS,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 2,
    "tcp_user_timeout": int(SILENCE_SECONDS * 1000),
    "application_name": "auth",
    "client_encoding": "utf8",
}

logger = logging.getLogger(__name__)
_patience = threading.local()


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Whatever this thread asks of the database in the block is answered, or given up, in that many seconds."""
    _patience.ends_at = time.monotonic() + seconds
    try:
        yield
    finally:
        del _patience.ends_at


def _at_most(seconds: float) -> float:
    ends_at: float | None = getattr(_patience, "ends_at", None)
    return seconds if ends_at is None else max(0.001, min(seconds, ends_at - time.monotonic()))


class Connection(psycopg.Connection[Row]):
    """A connection on which every wait ends, even when the peer's kernel still acknowledges what we send."""

    silence_seconds = SILENCE_SECONDS

    def wait(self, gen: PQGen[Result], interval: float = 0.1, timeout: float | None = None) -> Result:
        try:
            return super().wait(gen, interval, _at_most(self.silence_seconds) if timeout is None else timeout)
        except pg._WaitTimeout:
            self.close()
            raise psycopg.OperationalError("the server does not answer") from None


class CountedPool(ConnectionPool[Connection]):
    """A pool whose use the metrics tell."""

    def getconn(self, timeout: float | None = None) -> Connection:
        with POOL_WAITING.track_inprogress():
            connection = super().getconn(timeout)
        POOL_IN_USE.inc()
        return connection

    def putconn(self, conn: Connection) -> None:
        POOL_IN_USE.dec()
        super().putconn(conn)


class Database:
    """Runs the statements of `sql/` by their file names. Every fault of the database is `DatabaseUnavailable`."""

    def __init__(self, url: str, size: int = DEFAULT_POOL_SIZE) -> None:
        self._url = url
        self._size = size
        self._statements = _read_statements()
        self._pool: ConnectionPool[Connection] | None = None
        self._opening = threading.Lock()

    def one(self, name: str, /, **parameters: object) -> Row | None:
        """The statement's only row, or None when it returns none."""
        with self._connection() as connection:
            return Transaction(connection, self._statements).one(name, **parameters)

    def many(self, name: str, /, **parameters: object) -> list[Row]:
        """All the statement's rows."""
        with self._connection() as connection:
            return Transaction(connection, self._statements).many(name, **parameters)

    def run(self, name: str, /, **parameters: object) -> int:
        """How many rows the statement touched."""
        with self._connection() as connection:
            return Transaction(connection, self._statements).run(name, **parameters)

    @contextmanager
    def transaction(self) -> Iterator["Transaction"]:
        """One transaction for statements that must agree; rolled back when the block raises."""
        with self._connection() as connection, connection.transaction():
            yield Transaction(connection, self._statements)

    def open(self, size: int | None = None) -> None:
        """Start connecting. Called after the fork: a pool opened before one hangs hours later."""
        with self._opening:
            if self._pool is None:
                self._size = size or self._size
                self._pool = self._new_pool()

    def close(self) -> None:
        """Close all connections; the next statement opens the pool anew."""
        with self._opening:
            if self._pool is not None:
                self._pool.close()
                self._pool = None

    @contextmanager
    def _connection(self) -> Iterator[AnyConnection]:
        try:
            with self._checkout() as connection:
                try:
                    yield connection
                except _UNAVAILABLE as fault:
                    self._drop_if_faulty(connection, fault)
                    raise
        except _UNAVAILABLE as fault:
            _note(fault)
            raise DatabaseUnavailable from fault
        except (psycopg.DataError, psycopg.IntegrityError) as fault:  # what should have been refused before
            _note(fault)
            raise Unstorable from fault

    def _checkout(self) -> AbstractContextManager[AnyConnection]:
        if self._pool is None:
            self.open()
        return cast(ConnectionPool[Connection], self._pool).connection(_at_most(POOL_WAIT_SECONDS))

    def _drop_if_faulty(self, connection: AnyConnection, fault: psycopg.Error) -> None:
        """What broke one connection has most likely broken the idle ones too: drop them all at once."""
        if connection.closed or (fault.sqlstate or "").startswith(_CONNECTION_FAULTS):
            connection.close()
            if self._pool is not None:
                self._pool.drain()

    def _new_pool(self) -> ConnectionPool[Connection]:
        return CountedPool(
            self._url,
            connection_class=Connection,
            kwargs=_CONNECT_OPTIONS,
            configure=self._configure,
            min_size=min(self._size, IDLE_CONNECTIONS),
            max_size=self._size,
            reconnect_timeout=RECONNECT_SECONDS,
            num_workers=min(self._size, 3),
            open=True,
        )

    def _configure(self, connection: Connection) -> None:
        milliseconds = str(int(STATEMENT_SECONDS * 1000))
        parameters = {"milliseconds": milliseconds, "backend_pid": connection.info.backend_pid}
        direct = connection.execute(self._statements["connection_configure"], parameters).fetchone()
        if not direct:
            connection.prepare_threshold = None  # PgBouncer's sessions do not keep prepared statements
            connection.silence_seconds = STATEMENT_SECONDS  # nor a bound that the server would keep


class PatientDatabase(Database):
    """For commands: a connection for each statement or transaction, and all the time that these need."""

    def __init__(self, url: str) -> None:
        super().__init__(url, size=0)

    def _checkout(self) -> AbstractContextManager[AnyConnection]:
        return AnyConnection.connect(self._url, **_CONNECT_OPTIONS)


class Transaction:
    """The methods of `Database`, inside one transaction."""

    def __init__(self, connection: AnyConnection, statements: Mapping[str, str]) -> None:
        self._connection = connection
        self._statements = statements

    def one(self, name: str, /, **parameters: object) -> Row | None:
        """The statement's only row, or None when it returns none."""
        return self._connection.execute(self._statements[name], parameters).fetchone()

    def many(self, name: str, /, **parameters: object) -> list[Row]:
        """All the statement's rows."""
        return self._connection.execute(self._statements[name], parameters).fetchall()

    def run(self, name: str, /, **parameters: object) -> int:
        """How many rows the statement touched."""
        return self._connection.execute(self._statements[name], parameters).rowcount

    def script(self, text: str) -> None:
        """Runs the statements of a migration, one after another."""
        self._connection.execute(text)


def is_database_url(text: str) -> bool:
    """Whether libpq understands the text as the URL of a PostgreSQL database."""
    try:
        conninfo_to_dict(text)
    except psycopg.Error:
        return False
    return text.startswith(("postgres://", "postgresql://"))


def _note(fault: psycopg.Error) -> None:
    kind = type(fault).__name__
    DATABASE_ERRORS.labels(kind).inc()
    logger.warning("database fault: %s %s", kind, fault.sqlstate or "")


def _read_statements() -> dict[str, str]:
    return {path.stem: path.read_text() for path in sorted(SQL_FOLDER.glob("*.sql"))}
