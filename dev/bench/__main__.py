"""How fast the service is, beside the limits of its stack and two peers: `make bench`.

Prints tables, and writes them to docs/performance.md. `BENCH=quick` measures shorter, less often and without the ten
million rows, and only prints.
"""

import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from .calls import PASSWORD_HASH, bulk_invalidate, calls, empty_route, password_login
from .load import QUICK, ROUNDS, Measured, Target, interleaved, measure, rate_of, show
from .peers import peers
from .rows import ROWS, fill
from .scenarios import footprint, grown, hashing, paced, processor, storm
from .service import BIN, PROJECT, SERVICE, Server, access_token, database, environment, postgres, serving

DOCUMENT: Final = PROJECT / "docs" / "performance.md"
MARK: Final = "<!-- `make bench` writes what follows -->\n"
EMPTY: Final = (BIN / "gunicorn", "dev.bench.empty:app")
SIZES: Final = (ROWS, 100_000) if QUICK else (ROWS, 1_000_000, 10_000_000)
WARM_UP_SECONDS: Final = 10  # until Node has compiled its code, and every connection has planned a login's statements


def run(server_url: str) -> Iterator[str]:
    """The lines of all tables, in a quarter of an hour or so."""
    yield _machine()
    with database(server_url, "service") as url:
        variables = environment(url)
        fill(url, ROWS, PASSWORD_HASH)
        with serving(SERVICE, variables) as service, serving(EMPTY, variables) as empty:
            yield from _served(server_url, service, empty, variables)
    yield from _compared("Growth", f"of {ROWS:,} rows", grown(server_url, SIZES))
    yield "\n" + subprocess.check_output([sys.executable, "-m", "dev.bench.processor"], cwd=PROJECT, text=True).strip()


def _served(server_url: str, service: Server, bare: Server, variables: Mapping[str, str]) -> Iterator[str]:
    (port, master), empty = service, (bare[0], empty_route())
    exchange = partial(access_token, port)
    works, logins = calls(exchange), password_login()
    refresh, ours = (port, works["refresh"]), [(port, work) for work in works.values()]
    _warm_up(ours, 1)
    _warm_up([(port, logins)], WARM_UP_SECONDS)
    yield from _compared("Call", "of the empty route", interleaved(ours, rate_of(empty)))
    targets = [(bare[1], empty), *((master, target) for target in ours)]
    yield from _costs([[*processor(server_url, targets)] for _ in range(ROUNDS)])
    yield from _compared("Login", "of argon2id alone", interleaved([(port, logins)], hashing))
    with peers(server_url) as others:
        _warm_up(others, WARM_UP_SECONDS)
        yield from _compared("Peer", "of refresh", interleaved(others, rate_of(refresh)))
    yield from _compared("At 70 % of the highest rate", "", [paced(empty), paced(refresh)])
    yield from _compared("A storm of logins", "", storm(refresh, (port, logins)))
    yield from _head("Processes", "")
    yield from (_row(name, _number(figure)) for name, figure in footprint(variables, refresh[1], logins).items())
    bulk = bulk_invalidate(exchange, variables["DATABASE_URL"])
    yield from _compared("Bulk", "of the empty route", interleaved([(port, bulk)], rate_of(empty), rounds=1))


def _warm_up(targets: Sequence[Target], seconds: int) -> None:
    for target in targets:
        measure(target, seconds)


def _machine() -> str:
    """The processor, its cores and the Python that the figures come from."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())
    return f"{len(os.sched_getaffinity(0))} cores of {model}, Python {platform.python_version()}"


def _compared(head: str, yardstick: str, results: Sequence[Measured]) -> Iterator[str]:
    """A table of calls: rates of answers with 200, latencies, and the ratio to a yardstick where there is one."""
    yield from _head(head, "a second", "failed", "p50 ms", "p90 ms", "p99 ms", "p99 / p50", yardstick, "range")
    for name, loads, ratios in results:
        figures = [statistics.median(figure) for figure in zip(*loads, strict=True)]
        ratio = [f"{statistics.median(ratios):.2f}", f"{min(ratios):.2f} to {max(ratios):.2f}"] if ratios else ["", ""]
        yield _row(name, *map(_number, figures), f"{figures[4] / figures[2]:.1f}", *ratio)


def _costs(rounds: Sequence[Sequence[tuple[str, float, float]]]) -> Iterator[str]:
    """A table of calls under load. The share of the empty route is by the processor time of the workers."""
    yield from _head("Processor", "workers, µs", "PostgreSQL, µs", "share of the empty route", "range")
    for costs in zip(*rounds, strict=True):
        names, workers, postgres = zip(*costs, strict=True)
        shares = [empty[1] / cost for (empty, *_), cost in zip(rounds, workers, strict=True)]
        ratio = f"{statistics.median(shares):.2f}", f"{min(shares):.2f} to {max(shares):.2f}"
        yield _row(names[0], *(_number(statistics.median(each)) for each in (workers, postgres)), *ratio)


def _write(lines: Sequence[str]) -> None:
    """Put the lines in the place of the last run's."""
    prose, mark, _ = DOCUMENT.read_text().partition(MARK)
    DOCUMENT.write_text("\n".join([prose + mark, *lines, ""]))


def _head(*cells: str) -> Iterator[str]:
    yield "\n" + _row(*cells)
    yield "|---|" + "--:|" * (len(cells) - 1)


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _number(figure: float) -> str:
    return f"{figure:,.0f}" if figure >= 100 else f"{figure:.3g}"


def main() -> None:
    lines = []
    with postgres() as server_url:
        for line in run(server_url):
            show("")
            print(line, flush=True)
            lines.append(line)
    if not QUICK:
        _write(lines)


if __name__ == "__main__":
    main()
