"""What was measured, and what of it was asked for."""

import json
import os
import platform
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from .growth import Point
from .load import Load
from .rounds import Measured

FILE: Final = Path(__file__).with_name("results.json")
OF_EMPTY_ROUTE: Final = {
    "refresh": 0.55,
    "webRefresh": 0.50,
    "claim": 0.50,
    "requestOneTimeTokenWithAudience": 0.45,
    "listUserSessions, 10 items": 0.45,
}
OF_HASHING: Final = 0.90
TIMES_A_PEER: Final = 5
OF_SMALL: Final = 0.85
MEGABYTES: Final = 120
SECONDS: Final = 2
P99_OF_P50: Final = 5


@dataclass
class Results:
    """Everything one run has found; rates are a second."""

    machine: dict[str, Any]
    alone: dict[str, float]  # what we are made of, each alone
    calls: list[Measured]  # and their ratios to the empty route
    login: Measured  # to hashing alone
    peers: list[Measured]  # to refresh
    paced: dict[str, Load]  # by call, each at the same part of its highest rate
    start_seconds: float
    worker_megabytes: float
    growth: list[Point] = field(default_factory=list)
    large: Measured | None = None  # refresh on the largest table, to itself on the smallest

    def save(self) -> None:
        found = asdict(self) | {"targets": [asdict(target) | {"met": target.met} for target in targets(self)]}
        FILE.write_text(json.dumps(found, indent=1) + "\n")

    @property
    def failed(self) -> bool:
        """Whether any measurement was not to be had."""
        compared = [*self.calls, self.login, *self.peers, *([self.large] if self.large else [])]
        return any(measured.failure for measured in compared)


@dataclass(frozen=True)
class Target:
    """What the issue asks for; `found` is None where it was not measured."""

    what: str
    found: float | None
    bound: float
    at_least: bool = True

    @property
    def met(self) -> bool | None:
        if self.found is None:
            return None
        return self.found >= self.bound if self.at_least else self.found < self.bound


def targets(results: Results) -> Iterator[Target]:
    """Every target, and what was found."""
    for measured in results.calls:
        if measured.name in OF_EMPTY_ROUTE:
            yield Target(f"{measured.name} / empty Flask route", measured.ratio, OF_EMPTY_ROUTE[measured.name])
    yield Target("passwordLogin / argon2id alone", results.login.ratio, OF_HASHING)
    for peer in results.peers:
        yield Target(f"refresh / {peer.name}", 1 / peer.ratio if peer.ratio else None, TIMES_A_PEER)
    large = results.large.ratio if results.large else None
    rows = sorted({point.rows for point in results.growth}) or [0]
    yield Target(f"refresh at {rows[-1]:,} rows / at {rows[0]:,}", large, OF_SMALL)
    yield Target("MB of memory, a worker after 10,000 requests, logins too", results.worker_megabytes, MEGABYTES, False)
    yield Target("s from gunicorn to the first 200", results.start_seconds, SECONDS, False)
    ratio = results.paced["refresh"].p99_ms / results.paced["refresh"].p50_ms
    yield Target("refresh at 70 % of its highest rate: p99 / p50", ratio, P99_OF_P50, False)


def this_machine() -> dict[str, Any]:
    """What the numbers come from."""
    model = next((line for line in _lines("/proc/cpuinfo") if line.startswith("model name")), platform.machine())
    memory = next((line for line in _lines("/proc/meminfo") if line.startswith("MemTotal")), "0 0")
    return {
        "processor": model.partition(":")[2].strip() or model,
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(int(memory.split()[1]) * 1024 / 1e9, 1),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
    }


def _lines(path: str) -> list[str]:
    file = Path(path)
    return file.read_text().splitlines() if file.exists() else []
