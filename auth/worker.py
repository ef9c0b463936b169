"""gunicorn's threaded worker, with an order to begin requests in, and an end to each: nobody keeps a thread by sending
slowly.
"""

import ctypes
import os
import socket
import struct
import threading
import time
from collections import deque
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import msgspec
from gunicorn import util
from gunicorn.http.errors import (
    ExpectationFailed,
    LimitRequestHeaders,
    LimitRequestLine,
    ParseException,
    UnsupportedTransferCoding,
)
from gunicorn.workers.gthread import TConn, ThreadWorker

from . import waiting
from .metrics import REQUESTS
from .models import CommonErrorMessage

SO_ATTACH_FILTER: Final = 26  # of Linux; the socket module does not name it
BPF_RETURN: Final = 0x06
POLITE_CONNECTIONS: Final = 8  # with more, a worker waits no longer before it accepts another
POLITE_SECONDS: Final = 0.00005  # for each; about what another one takes to wake up
AT_WORK: Final = 4  # requests at once; more threads only fight for the interpreter's lock, and all are slower
SLOW_SECONDS: Final = 0.01  # one that takes longer waits for something: then it must not hold up others
REQUEST_SECONDS: Final = 20.0  # ours take a few at worst; the rest is for a client's slow line

_UNREADABLE: Final = {
    LimitRequestLine: 414,
    ExpectationFailed: 417,
    LimitRequestHeaders: 431,
    UnsupportedTransferCoding: 501,
}


class Worker(ThreadWorker):  # type: ignore[misc]
    """Begins requests one after another, as it gets others done; cuts the connection of one that takes too long, which
    frees the thread that reads from it; and stops in order.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._since: dict[TConn, float] = {}
        self._queue: deque[TConn] = deque()
        self._at_work: dict[TConn, float] = {}

    def init_process(self) -> None:
        threading.Thread(target=self._cut_off, name="cut-off", daemon=True).start()
        super().init_process()

    def enqueue_req(self, conn: TConn) -> None:
        """Called on the main thread, with a new connection or one that has something to read."""
        self._queue.append(conn)

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        super().wait_for_and_dispatch_events(SLOW_SECONDS if self._queue else timeout)
        self._begin_requests()

    def _begin_requests(self) -> None:
        while self._queue and self._busy() < AT_WORK:
            conn = self._queue.popleft()
            self._at_work[conn] = time.monotonic()
            super().enqueue_req(conn)

    def _busy(self) -> int:
        latest = time.monotonic() - SLOW_SECONDS
        return sum(since > latest for since in list(self._at_work.values()))

    def handle(self, conn: TConn) -> Any:
        self._since[conn] = time.monotonic()
        try:
            with waiting.telling(partial(self._stand_aside, conn)):
                return super().handle(conn)
        finally:
            del self._since[conn]
            self._at_work.pop(conn, None)

    def _stand_aside(self, conn: TConn) -> None:
        self._at_work.pop(conn, None)
        if self._queue:
            self.method_queue.defer(self._begin_requests)

    def accept(self, listener: Any) -> None:
        """Leave it to a worker that has fewer connections: a kept-alive one stays with whoever accepted it, and with
        all of a proxy's on one worker the other cores would be idle.
        """
        time.sleep(min(self.nr_conns, POLITE_CONNECTIONS) * POLITE_SECONDS)
        super().accept(listener)

    def set_accept_enabled(self, enabled: bool) -> None:
        was_accepting = self._accepting
        super().set_accept_enabled(enabled)
        if was_accepting and not self.alive:
            self._drain()

    def _drain(self) -> None:
        """Take what the kernel has accepted for us already, then refuse: a stop leaves nobody without an answer."""
        for listener in self.sockets:
            if self._is_the_end(listener):
                _let_nobody_in(listener)
            taken = -1
            while taken != self.nr_conns:
                taken = self.nr_conns
                self.accept(listener)
            listener.close()

    def _is_the_end(self, listener: Any) -> bool:
        """Whether the master has closed the listener: then the service stops, and not this worker alone."""
        ours, held = os.fstat(listener.fileno()), Path(f"/proc/{self.ppid}/fd")
        try:
            return not any(os.path.samestat(fd.stat(), ours) for fd in held.iterdir())
        except OSError:  # no Linux, or a master that is gone
            return False

    def _keepalive_after(self, conn: TConn, keepalive: bool) -> bool:
        """An unread body that turns out to be broken has had its answer: close, and do not send a second one."""
        try:
            return bool(super()._keepalive_after(conn, keepalive))
        except ParseException:
            return False

    def handle_error(self, req: Any, client: Any, addr: Any, exc: Exception) -> None:
        """Answer what is not a request as every error is: gunicorn's own answer and log line quote what was sent."""
        if isinstance(exc, ParseException):
            status = _UNREADABLE.get(type(exc), 400)
            self.log.info("unreadable request: %s", type(exc).__name__)
        else:
            status = 500
            self.log.error("request failed", exc_info=exc)
        REQUESTS.labels("none", status).inc()
        with suppress(OSError):
            util.write_nonblock(client, _refusal(status))

    def _cut_off(self) -> None:
        while True:
            time.sleep(1)
            latest = time.monotonic() - REQUEST_SECONDS
            for conn, since in list(self._since.items()):
                if since < latest:
                    with suppress(OSError):
                        conn.sock.shutdown(socket.SHUT_RDWR)


def _let_nobody_in(listener: Any) -> None:
    """Have the kernel drop whatever arrives for the listener (socket(7), SO_ATTACH_FILTER; a program that returns 0).

    Otherwise it would go on making connections between our last accept and the close, and reset these.
    """
    program = ctypes.create_string_buffer(struct.pack("HBBI", BPF_RETURN, 0, 0, 0))
    with suppress(OSError):
        listener.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HP", 1, ctypes.addressof(program)))


def _refusal(status: int) -> bytes:
    phrase = HTTPStatus(status).phrase
    body = msgspec.json.encode(CommonErrorMessage(f"{phrase}.", "BAD_REQUEST" if status < 500 else "INTERNAL_ERROR"))
    head = f"HTTP/1.1 {status} {phrase}\r\nConnection: close\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
