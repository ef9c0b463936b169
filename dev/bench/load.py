"""Load on a server by wrk, and loads in interleaved rounds."""

import http.client
import os
import secrets
import socket
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from .calls import Work, filled

QUICK: Final = os.environ.get("BENCH") == "quick"
SECONDS: Final = 2 if QUICK else 4  # of each load
ROUNDS: Final = 1 if QUICK else 3
CONNECTIONS: Final = 16
SCRIPT: Final = Path(__file__).with_name("requests.lua")
Target = tuple[int, Work]  # the port of a server, and what to ask it
Yardstick = Callable[[], float]  # measures a rate for some seconds


class Load(NamedTuple):
    """Answers with 200 a second, the number of other or missing ones, and percentiles of the milliseconds."""

    rate: float
    failures: float
    p50_ms: float
    p90_ms: float
    p99_ms: float


class Measured(NamedTuple):
    """A call's loads, and the ratios of their rates to those of the yardstick just before and after."""

    name: str
    loads: Sequence[Load]
    ratios: Sequence[float]


def measure(target: Target, seconds: int = SECONDS, connections: int = CONNECTIONS, rate: float | None = None) -> Load:
    """Send requests for that long, as many as the connections carry, or that many a second at an even pace.

    Raises `RuntimeError` when the first answer is wrong.
    """
    port, work = target
    _check(port, work)
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"\0".join(work.requests))
        file.flush()
        settings = {"REQUESTS": file.name, "ROWS": work.rows, "SEED": secrets.randbits(31)}
        settings["INTERVAL_MS"] = 1000 / rate if rate else 0
        options = ["-t1", f"-c{connections}", f"-d{seconds}", "--timeout=10", f"-s{SCRIPT}"]
        variables = os.environ | {name: str(value) for name, value in settings.items()}
        command = ["wrk", *options, f"http://127.0.0.1:{port}/"]
        output = subprocess.run(command, env=variables, stdout=subprocess.PIPE, text=True, check=True).stdout
    figures = output.partition("RESULT ")[2].split()
    requests, microseconds, failures, last_number, *percentiles = map(float, figures)
    if last_number > work.rows:
        raise RuntimeError(f"{work.name}: the rows are used up")
    return Load((requests - failures) / microseconds * 1e6, failures, *percentiles)


def rate_of(target: Target) -> Yardstick:
    """A yardstick: the answers a second of this work."""
    return lambda: measure(target).rate


def interleaved(targets: Sequence[Target], yardstick: Yardstick, rounds: int = ROUNDS) -> list[Measured]:
    """Every work in every round, each between two measurements of the yardstick."""
    results = [list(zip(*_round(targets, yardstick), strict=True)) for _ in range(rounds)]
    loads, ratios = (list(zip(*part, strict=True)) for part in zip(*results, strict=True))
    return [Measured(work.name, *both) for (_, work), *both in zip(targets, loads, ratios, strict=True)]


def show(progress: str) -> None:
    """Print progress over the last such line."""
    print(f"\r\033[K{progress}", end="", file=sys.stderr, flush=True)


def _round(targets: Sequence[Target], yardstick: Yardstick) -> Iterator[tuple[Load, float]]:
    before = yardstick()
    for target in targets:
        show(target[1].name)
        load, after = measure(target), yardstick()
        yield load, load.rate / statistics.mean([before, after])
        before = after


def _check(port: int, work: Work) -> None:
    """Send one of the requests and read the answer. Raises `RuntimeError` when it is not the right one."""
    with socket.create_connection(("127.0.0.1", port), 30) as connection:
        connection.sendall(filled(work.requests[0], work.rows))
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        body = answer.read()
    if answer.status != 200 or work.answer not in body:
        raise RuntimeError(f"{work.name}: {answer.status} {body[:300]!r}")
