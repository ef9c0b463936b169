"""What a worker process takes: time until it answers, and memory after it has answered much."""

import http.client
import os
import statistics
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

from tests.servers import Server

from .calls import ROWS, refresh
from .load import Work, measure
from .service import WORKERS, Deployment

REQUESTS: Final = 10_000
STARTS: Final = 3


def start_seconds(deployment: Deployment) -> float:
    """From the start of gunicorn until it says that it and its database are ready, the median of three starts."""
    return statistics.median(_start(deployment) for _ in range(STARTS))


def worker_megabytes(deployment: Deployment, logins: Work) -> float:
    """Resident memory of the largest worker of a fresh server, after it answered `REQUESTS` requests and many logins:
    each of those takes as much for its hash as 19 MiB, and some of that stays.
    """
    server = Server(deployment.environment, WORKERS, Path(os.devnull))
    try:
        server.wait_until_up()
        answered = 0
        while answered < REQUESTS * WORKERS:
            answered += measure(refresh(server.port, ROWS), 5).requests
        measure(replace(logins, port=server.port), 5)
        workers = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split()
        return max(map(_resident_megabytes, workers))
    finally:
        server.stop()


def _start(deployment: Deployment) -> float:
    started = time.perf_counter()
    server = Server(deployment.environment, WORKERS, Path(os.devnull))
    try:
        while not _is_ready(server.port):
            time.sleep(0.005)
        return time.perf_counter() - started
    finally:
        server.stop()


def _is_ready(port: int) -> bool:
    with suppress(OSError):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    return False


def _resident_megabytes(process: str) -> float:
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024 / 1e6
