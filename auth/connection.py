"""A connection to PostgreSQL with a deadline for its waits. The faults of psycopg become errors of this service."""

import math
import select
from collections.abc import Callable
from contextlib import suppress
from functools import cache, cached_property
from time import monotonic
from typing import Any, Final, TypeVar

import psycopg
from psycopg import errors as pg
from psycopg.abc import PQGen
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import TransactionStatus as TransactionStatus
from psycopg.rows import dict_row

from auth.core.errors import DatabaseUnavailable, InternalError

Row = dict[str, Any]
Cursor = psycopg.Cursor[Row]
Result = TypeVar("Result")

CANCEL_SECONDS: Final = 1  # sending the request to cancel may take this long, and so may its result
CONNECT_OPTIONS: Final[dict[str, Any]] = {
    "autocommit": True,
    "row_factory": dict_row,
    "connect_timeout": 2,  # seconds for each host; psycopg takes no less
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 2,
    "tcp_user_timeout": 2500,
    "application_name": "auth",
    "client_encoding": "utf8",
}
# SQLSTATEs after which a connection is closed: read-only after a failover, a server that stops or starts, a broken
# link, no resources, and statements that were prepared before a column changed its type.
CLOSING: Final = ("25006", "57P01", "57P02", "57P03", "08", "53", "0A000")


class Connection(psycopg.Connection[Row]):
    deadline = math.inf  # the monotonic time at which waits end
    unfinished: PQGen[Any] | None = None  # the statement that was given up
    give_back: Callable[[], None]  # at the end of a `with` block

    @classmethod
    def open(cls, url: str) -> "Connection":
        try:
            return cls.connect(url, **CONNECT_OPTIONS)
        except (psycopg.Error, OSError, UnicodeError) as fault:  # UnicodeError: a label of the host is too long
            raise DatabaseUnavailable(cause=_kind(fault)) from fault

    def __exit__(self, *_: object) -> None:
        self.give_back()

    @cached_property
    def cursor_of(self) -> Callable[[str], Cursor]:
        """The cursor of a statement. It keeps adapters and column names, which are the same at each execution."""
        return cache(lambda statement: self.cursor(row_factory=cache(dict_row)))

    @cached_property
    def input_within(self) -> Callable[[int], list[Any]]:
        """Wait so many milliseconds for input. An idle connection gets input only when the server closes it."""
        poll = select.poll()  # select.select refuses descriptors above 1,023
        poll.register(self.fileno(), select.POLLIN)
        return poll.poll

    def wait(self, gen: PQGen[Result], interval: float = 0.1, timeout: float | None = None) -> Result:
        try:
            return super().wait(gen, interval, self.deadline - monotonic())
        except (psycopg.Error, OSError) as fault:
            if isinstance(fault, pg._WaitTimeout):
                self.unfinished = gen
            elif isinstance(fault, OSError) or (fault.sqlstate or "").startswith(CLOSING):
                self.close()
            unstorable = isinstance(fault, (psycopg.DataError, psycopg.IntegrityError))
            unsent = isinstance(fault, psycopg.ProgrammingError) and fault.sqlstate is None  # refused by psycopg itself
            raise (InternalError if unstorable or unsent else DatabaseUnavailable)(cause=_kind(fault)) from fault

    def cancel_unfinished(self) -> None:
        """End the statement, then give the connection back. Closing does not end a commit that waits for a standby."""
        gen, self.unfinished = self.unfinished, None
        try:
            self.cancel_safe(timeout=CANCEL_SECONDS)
            if gen:
                super().wait(gen, timeout=CANCEL_SECONDS)
        except pg.QueryCanceled:
            pass
        # TypeError: psycopg cannot continue a statement that was sent only in part
        except (psycopg.Error, OSError, TypeError):
            self.close()
        finally:
            self.give_back()


def _kind(fault: Exception) -> str:
    """The name of the fault, for the log. Its text is never logged, since it may quote a value."""
    return type(fault).__name__.lstrip("_")


def is_database_url(text: str) -> bool:
    with suppress(psycopg.Error):
        conninfo_to_dict(text)
        return text.startswith(("postgres://", "postgresql://"))
    return False
