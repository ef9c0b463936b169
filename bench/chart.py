"""The results as a chart: how near each call comes to its limit, and how long its answers take."""

import math
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Final

from .results import OF_EMPTY_ROUTE, OF_HASHING, Results
from .rounds import Measured

FILE: Final = Path(__file__).with_name("results.svg")
WIDTH: Final = 1080
ROW: Final = 34
TOP: Final = 92
SHARE: Final = (290, 330)  # left edge and width of a panel
LATENCY: Final = (730, 310)
OURS: Final = "#2563eb"
THEIRS: Final = "#94a3b8"
INK: Final = "#1e293b"
PALE: Final = "#e2e8f0"
Bar = tuple[Measured, float | None, float | None, str]  # the call, its share of the limit, the target, the colour


def draw(results: Results) -> None:
    """Write the chart."""
    bars = list(_bars(results))
    height = TOP + ROW * len(bars) + 66
    style = f'font-family="system-ui, sans-serif" font-size="13" fill="{INK}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" {style}>'
    parts = [head, f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>', *_titles(results, height)]
    slowest = max(measured.latency("p99_ms") or 1 for measured, *_ in bars)
    parts += _scales(len(bars), slowest)
    for number, bar in enumerate(bars):
        parts += _row(bar, TOP + ROW * number + ROW / 2, slowest)
    FILE.write_text("\n".join([*parts, "</svg>", ""]))


def _bars(results: Results) -> Iterator[Bar]:
    for measured in results.calls:
        yield measured, measured.ratio, OF_EMPTY_ROUTE.get(measured.name), OURS
    yield results.login, results.login.ratio, OF_HASHING, OURS
    minting = next((measured.ratio for measured in results.calls if measured.name == "refresh"), None)
    for peer in results.peers:
        yield peer, peer.ratio * minting if peer.ratio and minting else None, None, THEIRS


def _titles(results: Results, height: int) -> Iterator[str]:
    machine = results.machine
    yield _text(24, 34, "User Authentication, measured in one run", 'font-size="18" font-weight="600"')
    told = (
        f"{machine['cores']} cores of {machine['processor']}, load generator and PostgreSQL on them too; 16 connections"
    )
    yield _text(24, 56, told, 'fill="#64748b"')
    yield _text(SHARE[0], 80, "requests a second, as a share of the limit", 'font-weight="600"')
    yield _text(LATENCY[0], 80, "milliseconds: p50, p90, p99", 'font-weight="600"')
    limit = "The limit is an empty route of a bare Flask app; of passwordLogin, argon2id alone. A tick is a target."
    yield _text(24, height - 16, f"{limit} Grey: peers, exchanging a stored credential for a token.", 'fill="#64748b"')


def _scales(rows: int, slowest: float) -> Iterator[str]:
    bottom = TOP + ROW * rows
    for percent in range(0, 101, 25):
        yield from _grid(SHARE[0] + SHARE[1] * percent / 100, bottom, f"{percent} %")
    for power in range(math.ceil(math.log10(slowest)) + 1):
        if 10**power <= slowest * 1.1:
            yield from _grid(_place(10**power, slowest), bottom, f"{10**power:,}")


def _grid(x: float, bottom: float, label: str) -> Iterator[str]:
    yield f'<path d="M{x:.1f} {TOP}V{bottom}" stroke="{PALE}"/>'
    yield _text(x, bottom + 18, label, 'text-anchor="middle" fill="#64748b" font-size="11"')


def _row(bar: Bar, y: float, slowest: float) -> Iterator[str]:
    measured, share, target, colour = bar
    yield _text(24, y + 5, measured.name)
    if share is None or measured.rate is None:
        yield _text(SHARE[0] + 6, y + 5, "failed")
        return
    length = SHARE[1] * min(share, 1)
    yield f'<rect x="{SHARE[0]}" y="{y - 9:.1f}" width="{length:.1f}" height="18" rx="3" fill="{colour}"/>'
    if target is not None:
        tick = SHARE[0] + SHARE[1] * target
        yield f'<path d="M{tick:.1f} {y - 13:.1f}v26" stroke="{INK}" stroke-width="2"/>'
    beside = max(length, SHARE[1] * (target or 0)) + 8
    yield _text(SHARE[0] + beside, y + 5, f"{measured.rate:,.0f}/s", 'font-weight="600"')
    yield from _percentiles(
        [measured.latency(name) or 1 for name in ("p50_ms", "p90_ms", "p99_ms")], y, slowest, colour
    )


def _percentiles(latencies: Sequence[float], y: float, slowest: float, colour: str) -> Iterator[str]:
    places = [_place(latency, slowest) for latency in latencies]
    yield f'<path d="M{places[0]:.1f} {y:.1f}H{places[-1]:.1f}" stroke="{colour}" stroke-width="3" opacity=".4"/>'
    for place, opacity in zip(places, (1, 0.75, 0.5), strict=True):
        yield f'<circle cx="{place:.1f}" cy="{y:.1f}" r="5" fill="{colour}" opacity="{opacity}"/>'


def _place(latency: float, slowest: float) -> float:
    """On a logarithmic scale from one millisecond on."""
    return LATENCY[0] + LATENCY[1] * math.log(max(latency, 1)) / math.log(max(slowest, 10))


def _text(x: float, y: float, text: str, attributes: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" {attributes}>{escape(text)}</text>'
