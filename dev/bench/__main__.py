"""How fast the service is, beside the limits of its stack and two peers: `make bench`.

Prints tables, and writes them to docs/performance.md. `BENCH=quick` measures shorter, less often and without the ten
million rows, and only prints.
"""

import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Final

from . import report
from .alone import alone, hashing
from .calls import PASSWORD_HASH, bulk_invalidate, calls, empty_route, password_login
from .load import QUICK, Target, interleaved, measure, rate_of, show
from .peers import peers
from .rows import ROWS, fill
from .scenarios import footprint, grown, paced, storm
from .service import BIN, PROJECT, SERVICE, access_token, database, environment, postgres, serving
from .statements import prepare

EMPTY: Final = (BIN / "gunicorn", "dev.bench.empty:app")
SIZES: Final = (ROWS, 100_000) if QUICK else (ROWS, 1_000_000, 10_000_000)
WARM_UP_SECONDS: Final = 10  # until Node has compiled its code, and every connection has planned a login's statements


def run(server_url: str) -> Iterator[str]:
    """The lines of all tables, in a quarter of an hour or so."""
    yield report.machine()
    with database(server_url, "service") as url:
        variables = environment(url)
        fill(url, ROWS, PASSWORD_HASH)
        with serving(SERVICE, variables) as server, serving(EMPTY, variables) as empty:
            yield from _served(server_url, server.port, (empty.port, empty_route()), variables)
    yield from report.compared("Growth", f"{ROWS:,} rows", grown(server_url, SIZES))
    show("the processor time of each call")
    yield "\n" + subprocess.check_output([sys.executable, "-m", "dev.bench.processor"], cwd=PROJECT, text=True).strip()


def _served(server_url: str, port: int, empty: Target, variables: Mapping[str, str]) -> Iterator[str]:
    exchange = partial(access_token, port)
    works, logins = calls(exchange), password_login()
    refresh, ours = (port, works["refresh"]), [(port, work) for work in works.values()]
    _warm_up(ours, 1)
    _warm_up([(port, logins)], WARM_UP_SECONDS)
    with database(server_url, "statements") as url:
        environment(url)
        prepare(url, ROWS)
        yield from report.single("Alone", "a second", alone(url))
    yield from report.compared("Call", "the empty route", interleaved(ours, rate_of(empty)))
    yield from report.compared("Login", "argon2id alone", interleaved([(port, logins)], hashing))
    with peers(server_url) as others:
        _warm_up(others, WARM_UP_SECONDS)
        yield from report.compared("Peer", "refresh", interleaved(others, rate_of(refresh)))
    at_pace = {target[1].name: paced(target) for target in (empty, refresh)}
    yield from report.loads("At 70 % of the highest rate", at_pace)
    yield from report.loads("A storm of logins", storm(port, refresh[1], logins))
    yield from report.single("A worker process", "", footprint(variables, refresh[1], logins))
    bulk = bulk_invalidate(exchange, variables["DATABASE_URL"])
    yield from report.compared("Bulk", "the empty route", interleaved([(port, bulk)], rate_of(empty), rounds=1))


def _warm_up(targets: Sequence[Target], seconds: int) -> None:
    for target in targets:
        show(f"warming up: {target[1].name}")
        measure(target, seconds)


def main() -> None:
    lines = []
    with postgres() as server_url:
        for line in run(server_url):
            show("")
            print(line, flush=True)
            lines.append(line)
    if not QUICK:
        report.write(lines)


if __name__ == "__main__":
    main()
