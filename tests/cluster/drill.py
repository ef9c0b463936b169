"""`make cluster`: what clients see while a primary dies, freezes or is replaced, and while its standby freezes.

Under all of it, nothing that was acknowledged is lost, no claim is won twice, and no server of ours is restarted.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from threading import Thread
from typing import Final, NamedTuple

import pytest

from auth.db import CONNECTIONS

from .load import Load
from .patroni import wait_for
from .site import MISSING, SERVERS, Site, site

pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")

SECONDS: Final = 10.0  # of load before the fault, between it and the return of the server, and afterwards
BACK: Final = 5.0  # seconds after which no request fails
LATEST: Final = 3.0  # seconds in which an outage is answered
LATEST_SILENCE: Final = 6.0  # and an outage by a server that accepts connections and never answers


class Fault(NamedTuple):
    """A server that is gone: whether another does its work, how it comes back, and the longest request meanwhile."""

    is_replaced: Callable[[], bool]
    come_back: Callable[[], object]
    latest: float


def killed_primary(site: Site) -> Fault:
    """PostgreSQL and Patroni end at once, as when the machine stops."""
    old = site.primary()
    old.kill()
    return Fault(partial(site.is_promoted, old), old.start, LATEST)


def frozen_primary(site: Site) -> Fault:
    """When it goes on, it still acts as the primary."""
    old = site.primary()
    return Fault(partial(site.is_promoted, old), old.freeze(), LATEST_SILENCE)


def switchover(site: Site) -> Fault:
    old = site.primary()
    switching = Thread(target=old.switch_over)
    switching.start()
    return Fault(partial(site.is_promoted, old), switching.join, LATEST)


def frozen_standby(site: Site) -> Fault:
    """Commits wait for it until Patroni takes the other one."""
    old = site.standby()
    return Fault(lambda: site.standby() is not old, old.freeze(), LATEST)


@pytest.fixture(scope="module", name="site")
def running_site() -> Iterator[Site]:
    with site() as running:
        yield running


@pytest.fixture(scope="module")
def loads() -> list[Load]:
    """What was acknowledged in earlier tests must hold in later ones."""
    return []


@pytest.mark.parametrize("fault", [killed_primary, frozen_primary, switchover, frozen_standby])
def test_a_fault_under_load(site: Site, loads: list[Load], fault: Callable[[Site], Fault]) -> None:
    load, connections = Load(site.port, site.world), list[int]()
    with load.running():
        time.sleep(SECONDS)
        failed = time.monotonic()
        broken = fault(site)
        wait_for("another server", broken.is_replaced)
        replaced = time.monotonic()
        while time.monotonic() < replaced + SECONDS:
            connections.append(site.connections())
            time.sleep(0.1)
        broken.come_back()
        wait_for("standbys", site.is_whole)
        whole = time.monotonic()
        time.sleep(SECONDS)
    longest, slowest = max((record.ended - record.started, record) for record in load.records)
    before, after = load.throughput(failed - SECONDS, failed), load.throughput(whole, whole + SECONDS)
    loads.append(load)
    checks = sum((load.check() for load in loads), Counter[str]())
    print(f"\n{fault.__name__}: another server after {replaced - failed:.1f} s")
    print(f"  longest request {longest:.2f} s ({slowest.call} {slowest.outcome}), {max(connections)} connections")
    print(f"  {before:.0f} successes a second before and {after:.0f} after;", end=" ")
    print(", ".join(f"{name} {checks[name]}" for name in ("checked", "lost", "doubled")))
    _check_answers(load, replaced)
    assert longest < broken.latest
    assert max(connections) <= SERVERS * CONNECTIONS
    assert checks["lost"] == checks["doubled"] == 0
    assert after > 0.8 * before


def _check_answers(load: Load, replaced: float) -> None:
    """Every answer is a success or a 503, and soon after the other server took over, there are only successes."""
    for call, records in load.by_call().items():
        first = min(record.ended for record in records if record.outcome == "200" and record.ended > replaced)
        last = max((record.ended for record in records if record.outcome not in ("200", "409")), default=0)
        outcomes = dict(Counter(record.outcome for record in records))
        failure = f"last failure {last - replaced:.2f} s after it" if last else "no failure"
        print(f"  {call}: first success {first - replaced:.2f} s and {failure}, {outcomes}")
        assert set(outcomes) <= {"200", "503 DATABASE_UNAVAILABLE", "409" if call == "claim" else "200"}
        assert max(first, last) < replaced + BACK
