"""The service as its tables grow, at an even pace, in a storm of logins, and as a process."""

import statistics
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from .calls import Work, calls
from .load import QUICK, Load, Measured, Target, interleaved, measure, rate_of, show
from .rows import fill
from .service import SERVICE, WORKERS, access_token, database, environment, serving

GROWING: Final = ("refresh", "claim", "listUserSessions, 10 items")
MANY_CONNECTIONS: Final = 64
PACE: Final = 0.7  # of the highest rate
STORM_SECONDS: Final = 5 if QUICK else 30
LOGINS_AT_ONCE: Final = 32
REFRESHES_A_SECOND: Final = 100  # beside the logins, over 4 connections
STARTS: Final = 3
REQUESTS: Final = 10_000  # of each worker, before its memory is read


def grown(server_url: str, sizes: Sequence[int]) -> list[Measured]:
    """Calls on tables of each size but the first, as compared with the same call on tables of the first size."""
    with ExitStack() as running:
        (port, small), *larger = [running.enter_context(_of_size(server_url, rows)) for rows in sizes]
        results = []
        for name in GROWING:
            targets = [(large_port, works[name]) for large_port, works in larger]
            results += interleaved(targets, rate_of((port, small[name])))
        return results


def paced(target: Target) -> Load:
    """Requests at an even pace, over more connections than are ever busy at once. Of three loads the median."""
    highest = max(measure(target, connections=connections).rate for connections in (8, 16, MANY_CONNECTIONS))
    results = [measure(target, connections=MANY_CONNECTIONS, rate=PACE * highest) for _ in range(3)]
    return sorted(results, key=lambda load: load.p99_ms / load.p50_ms)[1]


def storm(port: int, refresh: Work, logins: Work) -> dict[str, Load]:
    """Refreshes at an even pace when idle and beside logins, and the logins' own load."""
    show("a storm of logins")
    refreshes = partial(measure, (port, refresh), STORM_SECONDS, 4, REFRESHES_A_SECOND)
    idle = refreshes()
    with ThreadPoolExecutor(1) as other:
        logging_in = other.submit(measure, (port, logins), STORM_SECONDS + 2, LOGINS_AT_ONCE)
        return {"refresh, idle": idle, "refresh, beside logins": refreshes(), "passwordLogin": logging_in.result()}


def footprint(variables: Mapping[str, str], refresh: Work, logins: Work) -> dict[str, float]:
    """The median time of three starts, and the memory of a worker process."""
    show("starting, and using memory")
    starts = [_start_seconds(variables) for _ in range(STARTS)]
    return {
        "seconds from the start to the first 200 of /readyz": statistics.median(starts),
        "MB of memory after 10,000 refreshes and many logins": _worker_megabytes(variables, refresh, logins),
    }


def _start_seconds(variables: Mapping[str, str]) -> float:
    started = time.perf_counter()
    with serving(SERVICE, variables) as server:
        while True:
            with suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{server.port}/readyz", timeout=10).close()
                return time.perf_counter() - started
            time.sleep(0.005)


def _worker_megabytes(variables: Mapping[str, str], refresh: Work, logins: Work) -> float:
    """Resident memory of the larger worker. A login takes 19 MiB for its hash, and some of that stays."""
    with serving(SERVICE, variables) as server:
        answered = 0.0
        while answered < REQUESTS * WORKERS:
            answered += 5 * measure((server.port, refresh), 5).rate
        measure((server.port, logins), 5)
        workers = Path(f"/proc/{server.process_id}/task/{server.process_id}/children").read_text().split()
        statuses = [Path(f"/proc/{worker}/status").read_text() for worker in workers]
        return max(int(status.partition("VmRSS:")[2].split()[0]) * 1024 / 1e6 for status in statuses)


@contextmanager
def _of_size(server_url: str, rows: int) -> Iterator[tuple[int, dict[str, Work]]]:
    show(f"filling tables with {rows:,} rows")
    with database(server_url, f"rows_{rows}") as url, serving(SERVICE, environment(url)) as server:
        fill(url, rows)
        works = calls(partial(access_token, server.port), rows)
        yield server.port, {name: replace(work, name=f"{name}, {rows:,} rows") for name, work in works.items()}
