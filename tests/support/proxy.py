"""A TCP proxy before PostgreSQL, which can hang or break connections."""

import socket
import threading
import time
from contextlib import suppress
from urllib.parse import quote, urlencode

from psycopg.conninfo import conninfo_to_dict


class Proxy:
    """Forwards TCP on a port of its own to a server's socket, until told otherwise."""

    def __init__(self, database_url: str) -> None:
        self._parts = conninfo_to_dict(database_url)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._open = threading.Event()  # cleared: a black hole, which accepts and never answers
        self._open.set()
        self._answer_bytes: int | None = None  # how much of the answers still passes, before the link is cut
        self._requests_left: int | None = None  # how many requests still pass, before the link is cut
        self._cut_in_answer = False
        self.is_cut = False  # whether the request of `cut_at` has come
        self._delay_seconds = 0.0
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def url(self) -> str:
        """The database's, by way of this link."""
        host, port = self._listener.getsockname()
        return f"postgresql://?{urlencode(self._parts | {'host': host, 'port': port}, quote_via=quote)}"

    def swallow(self) -> None:
        """From now on accept everything and forward nothing."""
        self._open.clear()

    def heal(self) -> None:
        """Forward again; what was swallowed arrives late."""
        with self._lock:
            self._requests_left, self._answer_bytes, self._delay_seconds = None, None, 0.0
        self._open.set()

    def delay(self, seconds: float) -> None:
        """From now on forward each answer that much later."""
        self._delay_seconds = seconds

    def cut(self) -> None:
        """Break every connection there is; new ones are made as ever."""
        with self._lock:
            pairs, self._pairs = self._pairs, []
        for pair in pairs:
            for end in pair:
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def cut_before_the_next_request(self) -> None:
        """Break the link when a request comes, before any of it has passed."""
        self.cut_at(1)

    def cut_at(self, number: int, in_answer: bool = False) -> None:
        """Break the link at that request from now (before it has passed, or in its answer), and at all later ones."""
        with self._lock:
            self._requests_left, self._cut_in_answer, self.is_cut = number, in_answer, False

    def cut_after(self, answer_bytes: int) -> None:
        """Let the next request pass, and that much of the answers, then break the link."""
        self._answer_bytes = answer_bytes

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.heal()
        self.cut()
        for thread in self._threads:
            thread.join(10)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = self._connect()
            except OSError:
                client.close()
                continue
            with self._lock:
                self._pairs.append((client, server))
            for arguments in ((client, server, False), (server, client, True)):
                thread = threading.Thread(target=self._forward, args=arguments)
                thread.start()
                self._threads.append(thread)

    def _connect(self) -> socket.socket:
        host, port = str(self._parts["host"]), str(self._parts["port"])
        if not host.startswith("/"):
            return socket.create_connection((host, int(port)))
        server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            server.connect(f"{host}/.s.PGSQL.{port}")
        except OSError:
            server.close()
            raise
        return server

    def _forward(self, source: socket.socket, sink: socket.socket, is_answer: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                self._open.wait()
                if is_answer:
                    time.sleep(self._delay_seconds)
                if not is_answer and not self._lets_pass():
                    break
                sent = self._passing(data) if is_answer else data
                sink.sendall(sent)
                if len(sent) < len(data):
                    break
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        source.close()  # and the other direction's thread closes the other end

    def _lets_pass(self) -> bool:
        with self._lock:
            if self._requests_left is None:
                return True
            self._requests_left -= 1
            if self._requests_left > 0:
                return True
            passes = self._cut_in_answer and not self.is_cut
            self.is_cut, self._answer_bytes = True, 0
            return passes

    def _passing(self, answer: bytes) -> bytes:
        """As much of the answer as still passes. One lock for all: `heal` comes at any time."""
        with self._lock:
            if self._answer_bytes is None:
                return answer
            passing = answer[: self._answer_bytes]
            self._answer_bytes -= len(passing)
            return passing
