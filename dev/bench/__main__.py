"""How fast the service is, beside what its stack can do and what peers do: `make bench`.

Prints tables; writes bench/results.json and bench/results.svg. `BENCH=quick` leaves out the 10 million rows, and
measures shorter and less often.
"""

import os
import sys
from dataclasses import dataclass

from .calls import ROWS, bulk_invalidate, calls, password_login, refresh
from .chart import draw
from .footprint import start_seconds, worker_megabytes
from .growth import grown
from .limit import SCRIPTS, Cores, empty_route, prepare_statements, statements_alone
from .load import Load, Work, measure, require_wrk
from .peers import peers
from .report import report
from .results import Results, this_machine
from .rounds import Yardstick, interleaved, tell
from .rows import fill
from .service import Deployment, database, postgres, service

MANY_CONNECTIONS = 64
PACE = 0.7  # of the highest rate
WARM_UP_SECONDS = 10  # until Node has compiled what it runs often, and every connection planned what a login asks


@dataclass(frozen=True)
class Plan:
    """How long and how often to measure, and on how many rows."""

    seconds: int = 4
    rounds: int = 3
    sizes: tuple[int, ...] = (ROWS, 1_000_000, 10_000_000)


QUICK = Plan(2, 1, (ROWS, 100_000))


def run(plan: Plan, server_url: str) -> Results:
    """Everything, in ten minutes or so."""
    cores = Cores()
    alone = _alone(plan, server_url, cores)
    with service(server_url, "service") as deployment, empty_route(deployment.environment) as empty:
        fill(deployment.database_url, ROWS)
        alone["an empty Flask route"] = measure(empty, plan.seconds).rate
        results = _served(plan, server_url, deployment, empty, cores, alone)
    results.growth, results.large = grown(server_url, plan.sizes, plan.seconds, plan.rounds)
    return results


def rate_of(work: Work) -> Yardstick:
    """A yardstick: this work's answers a second."""
    return lambda seconds: measure(work, seconds).rate


def _alone(plan: Plan, server_url: str, cores: Cores) -> dict[str, float]:
    tell("pgbench, signing and hashing alone")
    with database(server_url, "statements") as url:
        prepare_statements(url, ROWS)
        found = {f"pgbench: {name}": statements_alone(url, name, ROWS, plan.seconds) for name in SCRIPTS}
    return found | {
        "signing by ES256, all cores": cores.signing(plan.seconds),
        "hashing by argon2id, all cores": cores.hashing(plan.seconds),
    }


def _served(
    plan: Plan, server_url: str, deployment: Deployment, empty: Work, cores: Cores, alone: dict[str, float]
) -> Results:
    works, minting, logins = calls(deployment), refresh(deployment.port, ROWS), password_login(deployment)
    for work in works:
        tell(f"warming up: {work.name}")
        measure(work, 1)
    measure(logins, WARM_UP_SECONDS)
    measured = interleaved(works, rate_of(empty), plan.seconds, plan.rounds)
    (login,) = interleaved([logins], cores.hashing, plan.seconds, plan.rounds)
    with peers(server_url) as others:
        for peer in others:
            tell(f"warming up: {peer.name}")
            measure(peer, WARM_UP_SECONDS)
        compared = interleaved(others, rate_of(minting), plan.seconds, plan.rounds)
    paced = {work.name: _paced(work, plan.seconds) for work in (empty, minting)}
    tell("starting, and using memory")
    footprint = start_seconds(deployment), worker_megabytes(deployment, logins)
    measured += interleaved([bulk_invalidate(deployment)], rate_of(empty), plan.seconds, 1)
    return Results(this_machine(), alone, measured, login, compared, paced, *footprint)


def _paced(work: Work, seconds: int) -> Load:
    """Requests at an even pace, over more connections than are ever busy at once. Of three loads the median."""
    highest = max(measure(work, seconds, connections).rate for connections in (8, 16, MANY_CONNECTIONS))
    loads = [measure(work, seconds, MANY_CONNECTIONS, PACE * highest) for _ in range(3)]
    return sorted(loads, key=lambda load: load.p99_ms / load.p50_ms)[1]


def main() -> None:
    require_wrk()
    with postgres() as server_url:
        results = run(QUICK if os.environ.get("BENCH") == "quick" else Plan(), server_url)
    tell("")
    print("\n".join(report(results)))
    results.save()
    draw(results)
    sys.exit("a measurement failed" if results.failed else 0)


if __name__ == "__main__":
    main()
