"""The long proofs, each printing what it measured: `make soak` (about six minutes).

Claims by the ten thousand with and without faults, 10,240 guesses, outages of 2 and 60 seconds, and 100,000 requests
after which a worker has no more connections, descriptors or memory than before.
"""

import http.client
import secrets
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from .support.servers import Server, serving
from .test_faults import Site, all_unavailable, every_call, healthy, site, unavailable  # noqa: F401
from .test_lockout_races import race
from .test_processes import workers

JTIS = 1000
AT_ONCE = 64
REQUESTS = 100_000
Claiming = Callable[[Site, list[Server], Callable[[], None]], None]


class Client:
    """One kept-alive connection, made anew where it breaks."""

    def __init__(self, port: int, bearer: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self._headers = {"Authorization": f"Bearer {bearer}"}

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def post(self, path: str, **headers: str) -> int | None:
        """The status, or None where the connection broke."""
        try:
            self._connection.request("POST", path, headers=self._headers | headers)
            response = self._connection.getresponse()
            response.read()
            return response.status
        except (OSError, http.client.HTTPException):
            self._connection.close()
            return None


def claim_everywhere(site: Site, servers: list[Server], disturb: Callable[[], None]) -> None:  # noqa: F811
    bearer = site.world.service().access_token
    jtis = [secrets.token_hex(8) for _ in range(JTIS)]
    stop = threading.Event()

    def claim_all(thread: int) -> list[int | None]:
        with Client(servers[thread % len(servers)].port, bearer) as client:
            return [client.post(f"/auth/claim?jti={jti}") for jti in jtis]

    def disturbing() -> None:
        while not stop.wait(0.5):
            disturb()

    faults = threading.Thread(target=disturbing)
    faults.start()
    started = time.monotonic()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        threads = list(pool.map(claim_all, range(AT_ONCE)))
    stop.set()
    faults.join()
    stored = {row[0] for row in site.rows("SELECT jti FROM jti_claim")}
    statuses = Counter(status for thread in threads for status in thread)
    won = Counter(jti for thread in threads for jti, status in zip(jtis, thread, strict=True) if status == 200)
    told = {jti for thread in threads for jti, status in zip(jtis, thread, strict=True) if status in (200, 409)}
    print(f"\n{JTIS} jtis x {AT_ONCE}: {dict(statuses)} in {time.monotonic() - started:.0f} s; ", end="")
    print(f"double {sum(count > 1 for count in won.values())}, lost {len(told - stored)}")
    assert set(statuses) <= {200, 409, 503, None}
    assert max(won.values()) == 1
    assert told <= stored


def claim_with_keys(site: Site, servers: list[Server], disturb: Callable[[], None]) -> None:  # noqa: F811
    """Each claimer has a key of its own, and asks again when all is quiet: one of them has won, now and ever after."""
    bearer = site.world.service().access_token
    jtis = [secrets.token_hex(8) for _ in range(JTIS)]
    stop = threading.Event()

    def claim(client: Client, jti: str, thread: int) -> int | None:
        return client.post(f"/auth/claim?jti={jti}", **{"Idempotency-Key": f"key-{thread}"})

    def claim_all(thread: int) -> list[int | None]:
        with Client(servers[thread % len(servers)].port, bearer) as client:
            return [claim(client, jti, thread) for jti in jtis]

    def disturbing() -> None:
        while not stop.wait(0.5):
            disturb()

    faults = threading.Thread(target=disturbing)
    faults.start()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        threads = list(pool.map(claim_all, range(AT_ONCE)))
    stop.set()
    faults.join()
    refresh_token = site.world.service().refresh_token
    for server in servers:
        server.wait_until_up()
        while server.api.refresh(refresh_token).status != 200:  # each server finds out for itself that its links broke
            time.sleep(0.1)
    statuses = Counter(status for thread in threads for status in thread)
    again = Counter[int | None]()
    with Client(servers[0].port, bearer) as client:
        for jti, first in zip(jtis, zip(*threads, strict=True), strict=True):
            losers = [thread for thread, status in enumerate(first) if status == 409]
            asking = [thread for thread, status in enumerate(first) if status != 409] + losers[:2]
            answers = {thread: claim(client, jti, thread) for thread in asking}
            again.update(answers.values())
            assert list(answers.values()).count(200) == 1, answers
            assert all(answers[thread] == 200 for thread, status in enumerate(first) if status == 200)
            assert all(answers[thread] == 409 for thread in losers[:2])
    print(f"\n{JTIS} jtis x {AT_ONCE} keys: {dict(statuses)}, asked again: {dict(again)}", end="")
    assert set(statuses) <= {200, 409, 503, None}


@pytest.mark.parametrize("claiming", [claim_everywhere, claim_with_keys])
def test_claims_over_two_servers(site: Site, claiming: Claiming) -> None:  # noqa: F811
    with serving(site.environment, count=2) as servers:
        claiming(site, servers, lambda: None)


@pytest.mark.parametrize("claiming", [claim_everywhere, claim_with_keys])
def test_claims_over_two_servers_while_links_break(site: Site, claiming: Claiming) -> None:  # noqa: F811
    with serving(site.environment, count=2) as servers:
        claiming(site, servers, site.proxy.cut)


@pytest.mark.parametrize("claiming", [claim_everywhere, claim_with_keys])
def test_claims_over_two_servers_while_the_database_crashes(site: Site, claiming: Claiming) -> None:  # noqa: F811
    def crash() -> None:
        site.postgres.stop("immediate")
        site.postgres.start()
        time.sleep(3)

    with serving(site.environment, count=2) as servers:
        claiming(site, servers, crash)


def test_guesses_over_two_servers(site: Site) -> None:  # noqa: F811
    """10,240 logins in bursts of 64: no pair of network and username gets more wrong guesses than the limit."""
    started = time.monotonic()
    with serving(site.environment, count=2) as servers:
        statuses = race(servers, site.world, site.direct, pairs=160)
    print(f"\n{sum(statuses.values())} logins of 160 pairs: {dict(statuses)} in {time.monotonic() - started:.0f} s")
    assert sum(statuses.values()) == 10_240


@pytest.mark.parametrize("seconds", [2, 60])
def test_an_outage(site: Site, seconds: float) -> None:  # noqa: F811
    calls, token, taken = every_call(site), site.world.service().refresh_token, list[float]()
    site.postgres.stop("immediate")
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        for call in calls.values():
            started = time.monotonic()
            unavailable(call())
            taken.append(time.monotonic() - started)
        all_unavailable(calls, 3)
        assert site.api.call("GET", "/livez").status == 200
    site.start()
    back = site.wait_until_back(token, time.monotonic())
    longest, p99 = max(taken), statistics.quantiles(taken, n=100)[98]
    print(
        f"\nan outage of {seconds} s: {len(taken)} calls, all 503, p99 {p99:.2f} s, longest {longest:.2f} s, ", end=""
    )
    print(f"first success after {back:.2f} s")
    assert p99 < 3
    assert back < 2


def usage(pid: int) -> tuple[int, int]:
    """Open descriptors, and resident memory in KiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return len(list(Path(f"/proc/{pid}/fd").iterdir())), int(status.partition("VmRSS:")[2].split()[0])


def test_nothing_leaks(site: Site) -> None:  # noqa: F811
    """100,000 refreshes and claims, with links that break in between."""
    with serving(site.environment) as [server], ThreadPoolExecutor(16) as pool:
        bearer, token = site.world.service().access_token, site.world.service().refresh_token

        def work(count: int) -> Counter[int | None]:
            statuses = Counter[int | None]()
            with Client(server.port, token) as refresher, Client(server.port, bearer) as claimer:
                for _ in range(count // 5):
                    statuses[claimer.post(f"/auth/claim?jti={secrets.token_hex(8)}")] += 1
                    statuses.update(refresher.post("/auth/refresh") for _ in range(4))
            return statuses

        def round_of(requests: int) -> Counter[int | None]:
            return sum(pool.map(work, [requests // 16] * 16), Counter[int | None]())

        round_of(REQUESTS // 5)
        [pid] = workers(server)
        before = usage(pid)
        statuses = Counter[int | None]()
        for _ in range(10):
            statuses += round_of(REQUESTS // 10)
            site.proxy.cut()
        round_of(160)
        time.sleep(6)  # in which idle connections are closed
        after = usage(pid)
        connections = site.rows("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'auth'")[0][0]
    print(f"\n{sum(statuses.values())} requests: {dict(statuses)}; descriptors {before[0]} -> {after[0]}, ", end="")
    print(f"memory {before[1] // 1024} -> {after[1] // 1024} MiB, connections {connections}")
    assert set(statuses) <= {200, 503, None}
    assert after[0] <= before[0] + 8
    assert after[1] < before[1] * 1.15
    assert connections <= 2 * 12 + 2
