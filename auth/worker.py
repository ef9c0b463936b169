"""gunicorn's threaded worker, with an end to every request: nobody keeps a thread by sending slowly."""

import ctypes
import os
import socket
import struct
import threading
import time
from contextlib import suppress
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

from .metrics import REQUESTS
from .models import CommonErrorMessage

SO_ATTACH_FILTER: Final = 26  # of Linux; the socket module does not name it
BPF_RETURN: Final = 0x06
POLITE_CONNECTIONS: Final = 8  # with more, a worker waits no longer before it accepts another
POLITE_SECONDS: Final = 0.00005  # for each; about what another one takes to wake up
REQUEST_SECONDS: Final = 20.0  # ours take a few at worst; the rest is for a client's slow line

_UNREADABLE: Final = {
    LimitRequestLine: 414,
    ExpectationFailed: 417,
    LimitRequestHeaders: 431,
    UnsupportedTransferCoding: 501,
}


class Worker(ThreadWorker):  # type: ignore[misc]
    """Cuts the connection of a request that takes too long, which frees the thread that reads from it, and stops in
    order.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._since: dict[TConn, float] = {}

    def init_process(self) -> None:
        threading.Thread(target=self._cut_off, name="cut-off", daemon=True).start()
        super().init_process()

    def handle(self, conn: TConn) -> Any:
        self._since[conn] = time.monotonic()
        try:
            return super().handle(conn)
        finally:
            del self._since[conn]

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
