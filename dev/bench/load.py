"""Load on a server by wrk, which must be answered with 200 without exception."""

import http.client
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

CONNECTIONS: Final = 16
SCRIPT: Final = Path(__file__).with_name("requests.lua")
PLACEHOLDER: Final = re.compile(rb"\{(row|next|uuid)\}")


class Failed(Exception):
    """A load that was not answered as it should be; a number of it would be worth nothing."""


@dataclass(frozen=True)
class Load:
    """What came of it: answers a second, and percentiles of the milliseconds that one took."""

    requests: int
    rate: float
    p50_ms: float
    p90_ms: float
    p99_ms: float


@dataclass(frozen=True)
class Work:
    """Requests to a server, to be sent in random order; `requests.lua` says what it fills in."""

    name: str
    port: int
    requests: Sequence[bytes]
    answer: bytes  # a part of each right one
    rows: int = 1
    prepare: Callable[[], tuple[int, int]] = lambda: (0, 0)  # called before each load; what {next} is between


def request(method: str, path: str, headers: Mapping[str, str], body: str = "") -> bytes:
    """The bytes of an HTTP request, as wrk sends them."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *(f"{name}: {value}" for name, value in headers.items())]
    if body:
        lines.append(f"Content-Length: {len(filled(body.encode()))}")
    return "\r\n".join([*lines, "", body]).encode()


def filled(template: bytes) -> bytes:
    """One request of a template."""
    values = {b"row": b"%012d" % 1, b"next": b"%012d" % 0, b"uuid": str(uuid.uuid4()).encode()}
    return PLACEHOLDER.sub(lambda found: values[found[1]], template)


def require_wrk() -> None:
    """End with a message that says how to get it, where wrk is not installed."""
    if shutil.which("wrk") is None:
        sys.exit("The benchmark needs wrk, the load generator: apt-get install wrk, or brew install wrk.")


def check(work: Work) -> None:
    """Send one of the requests and read the answer. Raises `Failed` when it is not the right one."""
    with socket.create_connection(("127.0.0.1", work.port), 30) as connection:
        connection.sendall(filled(work.requests[0]))
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        body = answer.read()
    if answer.status != 200 or work.answer not in body:
        raise Failed(f"{work.name}: {answer.status} {body[:300]!r}")


def measure(work: Work, seconds: int, connections: int = CONNECTIONS, rate: float | None = None) -> Load:
    """Load for that long, as much as the connections carry, or evenly paced at that many requests a second.

    Raises `Failed` if a single answer was missing or no success.
    """
    first, last = work.prepare()
    check(work)
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"\0".join(work.requests))
        file.flush()
        settings = {"REQUESTS": file.name, "ROWS": work.rows, "FIRST": first, "SEED": secrets.randbits(31)}
        settings["INTERVAL_MS"] = 1000 / rate if rate else 0
        options = ["-t1", f"-c{connections}", f"-d{seconds}", "--timeout=10", f"-s{SCRIPT}"]
        command = ["wrk", *options, f"http://127.0.0.1:{work.port}/"]
        environment = os.environ | {name: str(value) for name, value in settings.items()}
        finished = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    result = re.search(r"^RESULT (.*)$", finished.stdout, re.MULTILINE)
    if result is None:
        raise Failed(f"{work.name}: wrk failed: {finished.stdout} {finished.stderr}")
    requests, microseconds, failed, last_number, *percentiles = map(float, result[1].split())
    if failed or not requests:
        raise Failed(f"{work.name}: {failed:.0f} of {requests:.0f} requests failed")
    if last_number > last:
        raise Failed(f"{work.name}: more rows are needed than were made")
    return Load(int(requests), requests / microseconds * 1e6, *percentiles)
