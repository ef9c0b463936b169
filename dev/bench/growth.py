"""Whether the service keeps its pace as its tables, its processes and its callers grow in number."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.servers import serving

from .calls import claim, list_sessions, people_tokens, refresh
from .load import Load, Work, measure
from .rounds import Measured, interleaved, tell
from .rows import fill
from .service import service

CONNECTIONS: Final = (1, 8, 64)
WORKERS: Final = (1, 2)


@dataclass(frozen=True)
class Point:
    """A load on a service of that size."""

    call: str
    rows: int
    workers: int
    connections: int
    load: Load


@dataclass(frozen=True)
class Size:
    """Services on a table of that many rows: by number of workers, what they are asked."""

    rows: int
    works: dict[int, list[Work]]


def grown(server_url: str, sizes: Sequence[int], seconds: int, rounds: int) -> tuple[list[Point], Measured]:
    """Every call at every size, and refresh at the largest size as compared with itself at the smallest."""
    with ExitStack() as running:
        services = [running.enter_context(_of_size(server_url, rows)) for rows in sizes]
        points = list(_points(services, seconds))
        small, large = services[0].works[2][0], services[-1].works[2][0]
        (compared,) = interleaved([large], lambda length: measure(small, length).rate, seconds, rounds)
        return points, compared


def _points(services: Sequence[Size], seconds: int) -> Iterator[Point]:
    """The sizes one right after the other, so that what else the machine does is the same for all."""
    for workers in WORKERS:
        for connections in CONNECTIONS:
            for number in range(len(services[0].works[workers])):
                for size in services:
                    work = size.works[workers][number]
                    tell(f"{work.name}: {size.rows:,} rows, {workers} workers, {connections} connections")
                    load = measure(work, seconds, connections)
                    yield Point(work.name, size.rows, workers, connections, load)


@contextmanager
def _of_size(server_url: str, rows: int) -> Iterator[Size]:
    tell(f"filling tables with {rows:,} rows")
    with ExitStack() as running:
        deployment = running.enter_context(service(server_url, f"rows_{rows}"))
        log = Path(running.enter_context(tempfile.NamedTemporaryFile()).name)
        single = running.enter_context(serving(deployment.environment, log=log))
        fill(deployment.database_url, rows)
        people = people_tokens(deployment.world, rows)
        ports = {1: single[0].port, 2: deployment.port}
        yield Size(
            rows,
            {
                workers: [
                    refresh(port, rows),
                    claim(port, deployment.world),
                    list_sessions("listUserSessions", port, people),
                ]
                for workers, port in ports.items()
            },
        )
