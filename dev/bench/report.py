"""The results as tables in Markdown, for the terminal and for `docs/performance.md`."""

import os
import platform
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from .load import Load, Measured
from .service import PROJECT

DOCUMENT: Final = PROJECT / "docs" / "performance.md"
MARK: Final = "<!-- `make bench` writes what follows -->\n"
FIGURES: Final = ("rate", "p50_ms", "p90_ms", "p99_ms")
HEADS: Final = ("a second", "p50 ms", "p90 ms", "p99 ms")


def machine() -> str:
    """The processor, its cores and the Python that the figures come from."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())
    return f"{len(os.sched_getaffinity(0))} cores of {model}, Python {platform.python_version()}"


def compared(head: str, yardstick: str, results: Sequence[Measured]) -> Iterator[str]:
    """A table of calls: rates and latencies, and the ratio to a yardstick with its range over the rounds."""
    yield from _head(head, *HEADS, f"of {yardstick}", "range")
    for result in results:
        figures = [statistics.median(getattr(load, figure) for load in result.loads) for figure in FIGURES]
        ratio = f"{statistics.median(result.ratios):.2f}"
        yield _row(result.name, *map(_number, figures), ratio, f"{min(result.ratios):.2f} to {max(result.ratios):.2f}")


def loads(head: str, results: Mapping[str, Load]) -> Iterator[str]:
    """A table of loads: rates and latencies, and how far p99 is from p50."""
    yield from _head(head, *HEADS, "p99 / p50")
    for name, load in results.items():
        yield _row(name, *(_number(getattr(load, figure)) for figure in FIGURES), f"{load.p99_ms / load.p50_ms:.1f}")


def single(head: str, column: str, results: Mapping[str, float]) -> Iterator[str]:
    """A table of single figures."""
    yield from _head(head, column)
    yield from (_row(name, _number(figure)) for name, figure in results.items())


def write(lines: Sequence[str]) -> None:
    """Put the lines in the place of the last run's."""
    prose, mark, _ = DOCUMENT.read_text().partition(MARK)
    DOCUMENT.write_text("\n".join([prose + mark, *lines, ""]))


def _head(*cells: str) -> Iterator[str]:
    yield "\n" + _row(*cells)
    yield "|---|" + "--:|" * (len(cells) - 1)


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _number(figure: float) -> str:
    return f"{figure:,.0f}" if figure >= 100 else f"{figure:.1f}"
