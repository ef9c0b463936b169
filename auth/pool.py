"""The connections of a process: its threads share them, and each request has one deadline for all its waits."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Final

from auth.connection import Connection, TransactionStatus
from auth.core.errors import DatabaseUnavailable
from auth.db import Database, open_connection

CONNECTIONS: Final = 12  # a process has at most this many
WRITE_CONNECTIONS: Final = 8  # this many may write; the others are for reads while commits wait for a standby

REQUEST_SECONDS: Final = 2.6  # all statements and waits of a request together; the contract allows 3 for the answer
SLOT_SECONDS: Final = 0.8  # the longest wait for a connection
ANSWER_SECONDS: Final = 1.7  # a statement or a transaction; the rest is for `login_attempt_return`
STATEMENT_SECONDS: Final = 1.5  # the timeout in PostgreSQL, so that it answers before we give up

Slots = Sequence[SimpleQueue[None]]  # of a queue, each item is a free slot


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
        """A connection for a `with` block, until the deadline of the monotonic clock. Raises `DatabaseUnavailable`."""
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
