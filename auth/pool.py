"""The connections of a process: its threads share them, and each request has one deadline for all its waits."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import cached_property
from threading import Semaphore
from time import monotonic
from typing import Final

from auth.connection import Connection
from auth.core.errors import DatabaseUnavailable
from auth.db import DirectDatabase

CONNECTIONS: Final = 12  # of a process, at most
WRITE_CONNECTIONS: Final = 8  # of these; the others are for reads while commits wait for a standby

REQUEST_SECONDS: Final = 2.6  # for all statements and waits of a request; the contract allows 3 for the answer
SLOT_SECONDS: Final = 0.8  # the longest wait for a connection
ANSWER_SECONDS: Final = 1.7  # for a statement or a transaction; the rest is for `login_attempt_return`
STATEMENT_SECONDS: Final = 1.5  # the timeout in PostgreSQL, so that it answers before we give up


class Database(DirectDatabase):
    """For the service: threads share some connections, and every wait ends."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._idle: list[Connection] = []  # the one given back last is taken first
        self._slots = Semaphore(CONNECTIONS)
        self._write_slots = Semaphore(WRITE_CONNECTIONS)
        self._background = ThreadPoolExecutor(CONNECTIONS, "database")  # to open and cancel, which may take long

    def close(self) -> None:
        """Close the idle connections."""
        with suppress(IndexError):
            while True:
                self._idle.pop().close()

    @contextmanager
    def _lease(self, writes: bool, deadline: float | None = None) -> Iterator[Connection]:
        """A connection, to be used until the deadline (by the monotonic clock). Raises `DatabaseUnavailable`."""
        deadline = deadline or monotonic() + REQUEST_SECONDS
        connection = self._take(writes, deadline)
        connection.deadline = min(deadline, monotonic() + ANSWER_SECONDS)
        try:
            yield connection
        finally:
            self._give_back(connection, writes)

    def _take(self, writes: bool, deadline: float) -> Connection:
        self._take_slots(writes, deadline)
        with suppress(IndexError):
            while (connection := self._idle.pop()).is_readable:
                connection.close()
            return connection
        try:
            self._background.submit(self._open_idle, writes).result(deadline - monotonic())
        except (TimeoutError, RuntimeError) as fault:  # RuntimeError: no thread could start; the task waits
            raise DatabaseUnavailable(cause=type(fault).__name__) from fault
        return self._take(writes, deadline)

    def _give_back(self, connection: Connection, writes: bool) -> None:
        if connection.unfinished:
            with suppress(RuntimeError):  # no thread could start; the task waits for a later one
                self._background.submit(self._cancel, connection, writes)
            return
        if connection.is_idle:
            self._idle.append(connection)
        else:
            connection.close()
            self.close()  # the same fault has probably broken the idle connections too
        self._free_slots(writes)

    def _open_idle(self, writes: bool) -> None:
        """Open an idle connection, and free the slots that were taken for it."""
        try:
            self._idle.append(self._open(STATEMENT_SECONDS, ANSWER_SECONDS))
        finally:
            self._free_slots(writes)

    def _cancel(self, connection: Connection, writes: bool) -> None:
        try:
            connection.cancel_unfinished()
        finally:
            self._give_back(connection, writes)

    def _take_slots(self, writes: bool, deadline: float) -> None:
        deadline = min(deadline, monotonic() + SLOT_SECONDS)
        if deadline > monotonic() and (not writes or self._write_slots.acquire(timeout=deadline - monotonic())):
            if self._slots.acquire(timeout=deadline - monotonic()):
                return
            if writes:
                self._write_slots.release()
        raise DatabaseUnavailable(cause="NoFreeConnection")

    def _free_slots(self, writes: bool) -> None:
        self._slots.release()
        if writes:
            self._write_slots.release()


class RequestDatabase(DirectDatabase):
    """The shared connections for one request. The time to its deadline begins with its first statement."""

    def __init__(self, shared: Database) -> None:
        self._shared = shared

    @cached_property
    def deadline(self) -> float:
        return monotonic() + REQUEST_SECONDS

    def _lease(self, writes: bool) -> AbstractContextManager[Connection]:
        return self._shared._lease(writes, self.deadline)
