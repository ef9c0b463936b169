"""Loads measured between measurements of what they are compared with, again and again, since machines are noisy."""

import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from .load import Failed, Load, Work, measure

Yardstick = Callable[[int], float]  # how many a second, measured for that many seconds


@dataclass
class Measured:
    """A call's loads, and the ratios of their rates to those of the yardstick just before and after; or what failed."""

    name: str
    loads: list[Load] = field(default_factory=list)
    ratios: list[float] = field(default_factory=list)
    failure: str | None = None

    @property
    def rate(self) -> float | None:
        """Answers a second, the median of the rounds."""
        return self._median([load.rate for load in self.loads])

    @property
    def ratio(self) -> float | None:
        """To the yardstick, the median of the rounds."""
        return self._median(self.ratios)

    def latency(self, percentile: str) -> float | None:
        """Milliseconds, the median of the rounds; `p50_ms`, `p90_ms` or `p99_ms`."""
        return self._median([getattr(load, percentile) for load in self.loads])

    def _median(self, values: Sequence[float]) -> float | None:
        return statistics.median(values) if values and self.failure is None else None


def interleaved(works: Sequence[Work], yardstick: Yardstick, seconds: int, rounds: int) -> list[Measured]:
    """Every work in every round; after a failure no more."""
    measured = [Measured(work.name) for work in works]
    for number in range(1, rounds + 1):
        before = yardstick(seconds)
        for work, found in zip(works, measured, strict=True):
            if found.failure is None:
                tell(f"round {number} of {rounds}: {work.name}")
                try:
                    load = measure(work, seconds)
                except Failed as failure:
                    found.failure = str(failure)
                    continue
                after = yardstick(seconds)
                found.loads.append(load)
                found.ratios.append(load.rate / statistics.mean([before, after]))
                before = after
    return measured


def tell(progress: str) -> None:
    """What is being done, over the last such line."""
    print(f"\r\033[K{progress}", end="", file=sys.stderr, flush=True)
