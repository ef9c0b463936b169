"""The processor time and the instructions of each call in one process, beside an empty Flask route's.

    .venv/bin/python -m dev.bench.processor [the folder of another version of the service]

Each round makes a few calls of each kind in random order. A ratio is the median of the rounds' ratios, so that most of
the load of other programs cancels out. Another version is called in the same rounds, by the programs of this dev/bench.
"""

import json
import math
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from operator import truediv
from pathlib import Path
from typing import Any, Final, NamedTuple

from .load import QUICK, show
from .rows import ROWS, fill
from .service import PROJECT, database, environment, postgres

ROUNDS: Final = 20 if QUICK else 200
CALLS: Final = 25  # of each kind in each round
COUNTED: Final = 100  # calls of each kind under valgrind
# `auth` is the folder's, and `dev` is this one's, since a package that is imported stays.
PROGRAM: Final = "import os, sys, dev; sys.path.insert(0, os.getcwd()); from dev.bench.process import main; main()"
# It writes a file of counts at each call of C's getloadavg, and begins at zero again.
VALGRIND: Final = ("valgrind", "--quiet", "--tool=callgrind", "--dump-before=getloadavg")
Version = tuple[list[str], Callable[[str, int], float]]  # its calls, and the microseconds of one that is made n times


class Cost(NamedTuple):
    microseconds: Sequence[float]  # in each round
    instructions: float  # not a number without valgrind


def measured(server_url: str, folders: Sequence[Path]) -> list[dict[str, Cost]]:
    """For each folder, the costs of a call, by call."""
    with ExitStack() as running:
        versions = [running.enter_context(_version(server_url, folder)) for folder in folders]
        times: list[dict[str, list[float]]] = [{call: [] for call in calls} for calls, _ in versions]
        turns = [(ask, call, own[call]) for (calls, ask), own in zip(versions, times, strict=True) for call in calls]
        for number in range(ROUNDS):
            show(f"round {number} of {ROUNDS}")
            for ask, call, results in random.sample(turns, len(turns)):
                results.append(ask(call, CALLS))
    counts = [_instructions(server_url, folder) for folder in folders]
    return [
        {call: Cost(figures, count.get(call, math.nan)) for call, figures in own.items()}
        for own, count in zip(times, counts, strict=True)
    ]


def _instructions(server_url: str, folder: Path) -> dict[str, float]:
    if not shutil.which("valgrind"):
        return {}
    counts = {}
    with (
        tempfile.TemporaryDirectory() as files,
        _version(server_url, folder, *VALGRIND, f"--callgrind-out-file={files}/count") as (calls, ask),
    ):
        for turn, call in enumerate(calls, len(calls) + 1):  # process.py has made as many turns to warm up
            show(f"{call} under valgrind")
            ask(call, COUNTED)
            counts[call] = int(Path(files, f"count.{2 * turn}").read_text().rpartition("totals:")[2]) / COUNTED
    return counts


@contextmanager
def _version(server_url: str, folder: Path, *tool: str) -> Iterator[Version]:
    with database(server_url, os.urandom(8).hex()) as url:
        variables = environment(url, folder) | {"PYTHONPATH": f"{PROJECT}", "PYTHONHASHSEED": "0"}
        fill(url, ROWS)
        command = [*tool, sys.executable, "-P", "-c", PROGRAM]
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        with subprocess.Popen(command, cwd=folder, env=os.environ | variables, **pipes) as process:
            assert process.stdout
            answers = map(json.loads, process.stdout)

            def ask(call: str, count: int) -> float:
                print(json.dumps([call, count]), file=process.stdin, flush=True)
                return float(next(answers))

            yield next(answers), ask


def _print(title: str, costs: Mapping[str, Cost], bases: Mapping[str, Cost]) -> None:
    """A table of calls. The last three columns are ratios to the call's base."""
    print(f"\n| {title} | µs | thousand instructions | ratio of time | middle half | ratio of instructions |")
    print("|---|--:|--:|--:|--:|--:|")
    for call, (times, instructions) in costs.items():
        low, middle, high = statistics.quantiles(map(truediv, times, bases[call].microseconds))
        ratios = f"{middle:.2f} | {low:.2f} to {high:.2f} | {instructions / bases[call].instructions:.3f}"
        print(f"| {call} | {statistics.median(times):.0f} | {instructions / 1000:.0f} | {ratios} |")


def main(*others: str) -> None:
    with postgres("fsync=off") as server_url:
        this, *rest = measured(server_url, [PROJECT, *map(Path, others)])
    for name, costs in zip(("this version", *others), (this, *rest), strict=True):
        empty, *_ = costs.values()
        _print(f"{name} beside an empty Flask route", costs, dict.fromkeys(costs, empty))
    for name, costs in zip(others, rest, strict=True):
        _print(f"this version beside {name}", this, costs)


if __name__ == "__main__":
    main(*sys.argv[1:])
