"""Real servers for tests: gunicorn processes on ports of their own."""

import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from .api import Api, any_address, send_to_server

PROJECT = Path(__file__).parent.parent.parent
BIN = Path(sys.executable).parent
PROCESS = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
PROCESSES = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
PORTS = list(range(10_000 + PROCESS, 30_000, PROCESSES))
random.shuffle(PORTS)


def free_port() -> int:
    """A free port. No other call returns it, in any process of a test run.

    Systems give higher ports to clients. A client could take such a port before the server does.
    """
    while PORTS:
        port = PORTS.pop()
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port is free")


class Server:
    """One gunicorn of these programs, with its workers, run from that folder."""

    def __init__(
        self,
        environment: Mapping[str, str],
        workers: int = 1,
        log: Path | None = None,
        home: Path = PROJECT,
        port: int | None = None,
        programs: Path = BIN,
    ) -> None:
        self.port = port or free_port()
        self.api = self.client()
        output = None if log is None else log.open("wb")
        self.process = subprocess.Popen(
            [programs / "gunicorn", "app:app", "--bind", f"127.0.0.1:{self.port}", "--workers", str(workers)],
            cwd=home,
            env={"PATH": os.environ["PATH"], "LOG_LEVEL": "warning", "TRUSTED_PROXIES": "1", **environment},
            stdout=output,
        )
        if output is not None:
            output.close()

    def client(self, address: str | None = None) -> Api:
        """A client at that address, or at one that no other test has."""
        return Api(send_to_server(self.port, address or any_address()))

    def wait_until_up(self, seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            with suppress(OSError):
                if self.api.call("GET", "/.well-known/jwks.json").status == 200:
                    return
            assert self.process.poll() is None, "the server did not start"
            time.sleep(0.05)
        raise AssertionError("the server did not answer")

    def stop(self) -> int:
        """Ask the server to end, and wait for it; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


@contextmanager
def serving(
    environment: Mapping[str, str],
    count: int = 1,
    workers: int = 1,
    log: Path | None = None,
    home: Path = PROJECT,
) -> Iterator[list[Server]]:
    """That many servers, up and answering; what they log goes to the file."""
    servers = [Server(environment, workers, log, home) for _ in range(count)]
    try:
        for server in servers:
            server.wait_until_up()
        yield servers
    finally:
        for server in servers:
            if server.process.poll() is None:
                server.stop()
