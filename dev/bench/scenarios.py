"""The service as its tables grow, at an even pace, in a storm of logins, and as processes; and hashing alone."""

import os
import statistics
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from functools import partial
from itertools import chain
from multiprocessing import get_context
from operator import sub
from pathlib import Path
from typing import Final

import psycopg
from argon2 import PasswordHasher

from .calls import PASSWORD, PASSWORD_HASH, Work, calls
from .load import QUICK, SECONDS, Measured, Target, interleaved, measure, rate_of, show
from .rows import fill
from .service import SERVICE, WORKERS, access_token, database, environment, serving

GROWING: Final = ("refresh", "claim", "listUserSessions, 10 items")
STORM_SECONDS: Final = 5 if QUICK else 30


def grown(server_url: str, sizes: Sequence[int]) -> list[Measured]:
    """Calls on tables of each size but the first, as compared with the same call on tables of the first size."""
    with ExitStack() as running:
        (port, small), *larger = [running.enter_context(_of_size(server_url, rows)) for rows in sizes]
        results = []
        for name in GROWING:
            targets = [(large_port, works[name]) for large_port, works in larger]
            results += interleaved(targets, rate_of((port, small[name])))
        return results


def hashing() -> float:
    """Passwords that are hashed a second, by as many processes as the service has, which do nothing else."""
    with ProcessPoolExecutor(WORKERS, mp_context=get_context("spawn")) as pool:
        return sum(pool.map(_hashes_a_second, [PASSWORD_HASH] * WORKERS))


def paced(target: Target) -> Measured:
    """Requests at 70 % of the highest rate, over more connections than are ever busy. Of three loads the median."""
    highest = max(measure(target, connections=connections).rate for connections in (8, 16, 64))
    results = [measure(target, connections=64, rate=0.7 * highest) for _ in range(3)]
    return Measured(target[1].name, sorted(results, key=lambda load: load.p99_ms / load.p50_ms)[1:2], [])


def storm(refresh: Target, logins: Target) -> list[Measured]:
    """Refreshes at an even pace when idle and beside logins, and the logins' own load."""
    refreshes = partial(measure, refresh, STORM_SECONDS, connections=4, rate=100)
    loads = {"refresh, idle": refreshes()}
    with ThreadPoolExecutor(1) as other:
        logging_in = other.submit(measure, logins, STORM_SECONDS + 2, connections=32)
        loads |= {"refresh, beside logins": refreshes(), "passwordLogin": logging_in.result()}
    return [Measured(name, [load], []) for name, load in loads.items()]


def processor(server_url: str, targets: Sequence[tuple[int, Target]]) -> Iterator[tuple[str, float, float]]:
    """By call, microseconds of processor for an answer: of the process's children, and of PostgreSQL."""
    with psycopg.connect(server_url) as connection:
        [(file,)] = connection.execute("SELECT pg_read_file('postmaster.pid')").fetchall()
    for master, target in targets:
        show(target[1].name)
        parents = (master, int(file.split()[0]))
        before = [*map(_processor_seconds, parents)]
        answers = measure(target).rate * SECONDS
        workers, postgres = map(sub, map(_processor_seconds, parents), before)
        yield target[1].name, workers / answers * 1e6, postgres / answers * 1e6


def footprint(variables: Mapping[str, str], refresh: Work, logins: Work) -> dict[str, float]:
    """The median time of three starts, the memory of a worker process, and hashing without a service."""
    starts = [_start_seconds(variables) for _ in range(3)]
    return {
        "passwords a second hashed by argon2id alone": hashing(),
        "seconds from the start to the first 200 of /readyz": statistics.median(starts),
        "MB of memory after 10,000 refreshes and many logins": _worker_megabytes(variables, refresh, logins),
    }


def _hashes_a_second(password_hash: str) -> float:
    hasher, started, count = PasswordHasher(), time.perf_counter(), 0
    while (elapsed := time.perf_counter() - started) < SECONDS:
        hasher.verify(password_hash, PASSWORD)
        count += 1
    return count / elapsed


def _start_seconds(variables: Mapping[str, str]) -> float:
    started = time.perf_counter()
    with serving(SERVICE, variables) as (port, _):
        while True:
            with suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=10).close()
                return time.perf_counter() - started
            time.sleep(0.005)


def _worker_megabytes(variables: Mapping[str, str], refresh: Work, logins: Work) -> float:
    """Resident memory of the larger worker. A login takes 19 MiB for its hash, and some of that stays."""
    with serving(SERVICE, variables) as (port, process_id):
        answered = 0.0
        while answered < 10_000 * WORKERS:
            answered += 5 * measure((port, refresh), 5).rate
        measure((port, logins), 5)
        statuses = _of_children(process_id, "status")
        return max(int(status.partition("VmRSS:")[2].split()[0]) * 1024 / 1e6 for status in statuses)


def _processor_seconds(parent: int) -> float:
    """Of its children so far, in the program and in the kernel, with those that have ended."""
    ended = Path(f"/proc/{parent}/stat").read_text().rpartition(")")[2].split()[13:15]
    running = [stat.rpartition(")")[2].split()[11:13] for stat in _of_children(parent, "stat")]
    return sum(map(int, chain(ended, *running))) / os.sysconf("SC_CLK_TCK")


def _of_children(parent: int, name: str) -> Iterator[str]:
    """The files of that name of its running children."""
    for child in Path(f"/proc/{parent}/task/{parent}/children").read_text().split():
        with suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
            yield Path(f"/proc/{child}/{name}").read_text()


@contextmanager
def _of_size(server_url: str, rows: int) -> Iterator[tuple[int, dict[str, Work]]]:
    show(f"filling tables with {rows:,} rows")
    with database(server_url, f"rows_{rows}") as url:
        variables = environment(url)
        fill(url, rows)
        with serving(SERVICE, variables) as (port, _):
            works = calls(partial(access_token, port), rows)
            yield port, {name: replace(work, name=f"{name}, {rows:,} rows") for name, work in works.items()}
