"""gunicorn's threaded worker, for slow clients. Imported by gunicorn's master: see gunicorn.conf.py."""

import json
import selectors
import socket
import time
from contextlib import suppress
from http import HTTPStatus
from typing import Any, Final

from gunicorn import util
from gunicorn.http import errors
from gunicorn.workers.gthread import TConn, ThreadWorker

from auth.ops import parser as parser  # replaces classes of gunicorn

REQUEST_SECONDS: Final = 20.0  # the service needs about 3; the rest is for slow clients

_UNREADABLE: Final = {
    errors.LimitRequestLine: 414,
    errors.ExpectationFailed: 417,
    errors.LimitRequestHeaders: 431,
    errors.UnsupportedTransferCoding: 501,
}


class Worker(ThreadWorker):  # type: ignore[misc]
    """Gives a thread only to connections with something to read, for at most `REQUEST_SECONDS` a request."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.max_keepalived = self.worker_connections  # `notify` closes idle ones
        self._started: dict[TConn, float] = {}

    def accept(self, listener: Any) -> None:
        """Wait longer with more connections, so that a worker with fewer accepts first: connections cannot move."""
        time.sleep(min(self.nr_conns, 8) / 10_000)
        super().accept(listener)

    def enqueue_req(self, conn: TConn) -> None:
        """A new connection waits in the poller for its first byte, as a kept-alive one waits for its next request."""
        if conn.data_ready:
            super().enqueue_req(conn)
            return
        conn.data_ready = True
        conn.set_timeout()
        self.keepalived_conns.append(conn)
        self.poller.register(conn.sock, selectors.EVENT_READ, lambda sock: self.on_client_socket_readable(conn, sock))

    def handle(self, conn: TConn) -> Any:
        """Close in this thread: the client may take seconds to hang up, and the main thread must not wait for it."""
        self._started[conn] = time.monotonic()
        try:
            if super().handle(conn):
                return True
            conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 4096)  # otherwise each small packet is a read
            conn.close(graceful=True)
            conn.close = lambda **_: None  # gunicorn would close it again
            return False
        finally:
            del self._started[conn]

    def notify(self) -> None:
        """Called at least once a second. End requests that take too long, and idle connections in excess."""
        super().notify()
        for conn, started in list(self._started.items()):
            if time.monotonic() - started > REQUEST_SECONDS:
                with suppress(OSError):
                    conn.sock.shutdown(socket.SHUT_RDWR)
        while self.nr_conns >= self.worker_connections and self.keepalived_conns:
            self.keepalived_conns[0].timeout = 0
            self.murder_keepalived()

    def _keepalive_after(self, conn: TConn, keepalive: bool) -> bool:
        """gunicorn reads the rest of the body here. Close if it is malformed: the answer is sent already."""
        with suppress(errors.ParseException):
            return bool(super()._keepalive_after(conn, keepalive))
        return False

    def handle_error(self, req: Any, client: Any, addr: Any, exc: Exception) -> None:
        """Answer and log what gunicorn could not read, without quoting it as gunicorn does."""
        from auth.ops.metrics import REQUESTS  # the master must not import it

        status = HTTPStatus(_UNREADABLE.get(type(exc), 400) if isinstance(exc, errors.ParseException) else 500)
        if status == 500:
            self.log.error("request failed", exc_info=exc)
        else:
            self.log.info("unreadable request: %s", type(exc).__name__)
        REQUESTS("none", status.value).inc()
        code = "INTERNAL_ERROR" if status == 500 else "BAD_REQUEST"
        body = json.dumps({"why": f"{status.phrase}.", "errorCode": code})
        head = f"HTTP/1.1 {status.value} {status.phrase}\r\nConnection: close\r\nContent-Type: application/json\r\n"
        with suppress(OSError):
            util.write_nonblock(client, f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
