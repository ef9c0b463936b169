"""The results as tables for a terminal."""

from collections.abc import Iterator

from .growth import CONNECTIONS, WORKERS, Point
from .results import Results, targets
from .rounds import Measured

HEAD = f"{'':38}{'a second':>10}{'p50 ms':>9}{'p90 ms':>9}{'p99 ms':>9}"


def report(results: Results) -> Iterator[str]:
    """Everything, line by line."""
    yield ", ".join(f"{name} {value}" for name, value in results.machine.items())
    yield f"\n{'The limit, each alone':38}{'a second':>10}"
    for name, rate in results.alone.items():
        yield f"{name:38}{_number(rate)}"
    yield f"\n{HEAD}   of the empty Flask route"
    yield from map(_measured, results.calls)
    yield f"\n{HEAD}   of argon2id alone"
    yield _measured(results.login)
    yield f"\n{HEAD}   of refresh"
    yield from map(_measured, results.peers)
    yield f"\n{'At 70 % of the highest rate':38}{HEAD[38:]}   p99 / p50"
    for name, load in results.paced.items():
        latencies = f"{load.p50_ms:>9.1f}{load.p90_ms:>9.1f}{load.p99_ms:>9.1f}"
        yield f"{name:38}{_number(load.rate)}{latencies}   {load.p99_ms / load.p50_ms:.1f}"
    if results.growth:
        yield from _growth(results.growth)
    yield f"\n{'Targets':58}{'found':>9}{'asked for':>14}"
    for target in targets(results):
        found = "not measured" if target.found is None else f"{target.found:.2f}"
        sign, verdict = "≥" if target.at_least else "<", {True: "met", False: "MISSED", None: ""}[target.met]
        yield f"{target.what:58}{found:>9}{f'{sign} {target.bound:g}':>14}  {verdict}"


def _measured(measured: Measured) -> str:
    if measured.failure is not None:
        return f"{measured.name:38}FAILED: {measured.failure}"
    latencies = "".join(f"{measured.latency(name) or 0:>9.1f}" for name in ("p50_ms", "p90_ms", "p99_ms"))
    spread = f"{min(measured.ratios):.2f} to {max(measured.ratios):.2f}"
    return f"{measured.name:38}{_number(measured.rate)}{latencies}   {measured.ratio:.2f} ({spread})"


def _growth(points: list[Point]) -> Iterator[str]:
    columns = [(workers, connections) for workers in WORKERS for connections in CONNECTIONS]
    heads = "".join(f"{f'{workers} x {connections}':>9}" for workers, connections in columns)
    yield f"\n{'Growth, a second: workers x connections':40}{heads}"
    rates = {
        (point.call, point.rows, point.workers, point.connections): point.load and round(point.load.rate)
        for point in points
    }
    for call, rows in dict.fromkeys((point.call, point.rows) for point in points):
        cells = "".join(f"{rates[call, rows, *column] or 'failed':>9}" for column in columns)
        yield f"{f'{call}, {rows:,} rows':40}{cells}"


def _number(rate: float | None) -> str:
    return f"{rate or 0:>10,.0f}" if (rate or 0) >= 100 else f"{rate or 0:>10.1f}"
