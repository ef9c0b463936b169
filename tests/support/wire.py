"""Bytes as they are sent: requests that no HTTP client would make, and what they cost the server."""

import multiprocessing
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from threading import Thread

from .servers import Server


def exchange(server: Server | int, *pieces: bytes, half_close: bool = True, seconds: float = 10) -> bytes:
    """All that the server answers to these bytes until it closes the connection or sends no more.

    Each piece leaves as a packet of its own, although the server may read several at once.
    """
    received, port = b"", server if isinstance(server, int) else server.port
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            for piece in pieces:
                connection.sendall(piece)
            if half_close:
                connection.shutdown(socket.SHUT_WR)
            while chunk := connection.recv(65536):
                received += chunk
        except OSError:  # a time-out, or a server that has closed already
            pass
    return received


def statuses(received: bytes) -> list[int]:
    """The status of every answer in what was received."""
    return [int(part[2:5]) for part in received.split(b"HTTP/1.")[1:]]


def connections_of(server: Server) -> set[int]:
    """The ports of the clients whose connections a process of the server holds; 0 where it listens."""
    rows: list[list[str]] = []
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with open(table) as file:
            rows += [line.split() for line in file]
    ours = [row for row in rows if row[1].endswith(f":{server.port:04X}")]
    return {int(row[2].rpartition(":")[2], 16) for row in ours if row[9] != "0"}  # without an inode no process has it


def wait_for_no_connection(server: Server) -> None:
    """Until the server has closed all connections, and so has stopped working for them."""
    deadline = time.monotonic() + 10
    while connections_of(server) - {0}:
        assert time.monotonic() < deadline
        time.sleep(0.005)


def workers_of(server: Server) -> list[int]:
    listed = subprocess.run(["pgrep", "-P", str(server.process.pid)], capture_output=True, text=True, check=True)
    return [int(pid) for pid in listed.stdout.split()]


def processor_seconds(pids: Iterable[int]) -> float:
    """The processor time that these processes have used, exact to nanoseconds. See clock_getcpuclockid(3)."""
    return sum(time.clock_gettime((~pid << 3) | 2) for pid in pids)


@contextmanager
def attack(server: Server, clients: int, *pieces: bytes) -> Iterator[None]:
    """That many clients, in a process of their own: each sends these bytes anew as soon as it has been answered."""
    process = multiprocessing.get_context("spawn").Process(target=_attack, args=(server.port, clients, pieces))
    process.start()
    try:
        deadline = time.monotonic() + 30
        while not connections_of(server) - {0}:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        time.sleep(0.3)
        yield
    finally:
        process.kill()
        process.join()


def _attack(port: int, clients: int, pieces: tuple[bytes, ...]) -> None:
    def repeat() -> None:
        while True:
            exchange(port, *pieces)

    for _ in range(clients):
        Thread(target=repeat).start()
