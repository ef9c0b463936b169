"""The numbers that Prometheus reads, over all worker processes."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from .api import Api
from .proxy import Proxy
from .servers import Server, serving
from .world import PASSWORD, World

pytestmark = pytest.mark.xdist_group("metrics")


@pytest.fixture(scope="module")
def server(environment: dict[str, str]) -> Iterator[Server]:
    with serving(environment, workers=2) as [server]:
        yield server


def numbers(api: Api) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    answer = api.call("GET", "/metrics")
    assert answer.status == 200
    assert (answer.header("Content-Type") or "").startswith("text/plain; version=")
    families = text_string_to_metric_families(answer.body.decode())
    return {(s.name, frozenset(s.labels.items())): s.value for family in families for s in family.samples}


def number(api: Api, name: str, **labels: str) -> float:
    return numbers(api).get((name, frozenset(labels.items())), 0.0)


def growth(api: Api, act: Callable[[], object], name: str, **labels: str) -> float:
    before = number(api, name, **labels)
    act()
    return number(api, name, **labels) - before


def test_requests_are_counted_over_all_workers(server: Server, world: World) -> None:
    token = world.session().refresh_token

    def refresh_often() -> None:
        with ThreadPoolExecutor(8) as pool:
            assert {answer.status for answer in pool.map(server.api.refresh, [token] * 100)} == {200}

    assert growth(server.api, refresh_often, "auth_requests_total", rpc="refresh", status="200") == 100
    assert growth(server.api, refresh_often, "auth_request_seconds_count", rpc="refresh") == 100
    assert growth(server.api, refresh_often, "auth_request_seconds_bucket", rpc="refresh", le="+Inf") == 100
    assert 0 < growth(server.api, refresh_often, "auth_request_seconds_sum", rpc="refresh") < 100 * 5
    assert len(workers_of(server)) == 2


def workers_of(server: Server) -> list[int]:
    pid = server.process.pid
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_security_events_are_counted_by_outcome(server: Server, world: World) -> None:
    api, user, name = server.api, world.user(), world.login_service()
    session, service = world.session(), world.service("files:write")
    jti = api.request_one_time_token(session.access_token, "files:read").json["jti"]
    for act, event, outcome in (
        (lambda: api.login(user, PASSWORD, name), "login", "success"),
        (lambda: api.login(user, "wrong", name), "login", "INCORRECT_CREDENTIALS"),
        (lambda: api.refresh("unknown"), "refresh", "INVALID_TOKEN"),
        (lambda: api.claim(service.access_token, jti), "claim", "success"),
        (lambda: api.claim(service.access_token, jti), "claim", "ALREADY_CLAIMED"),
        (lambda: api.extend(service.access_token, session.access_token, "files:read"), "extension", "success"),
        (lambda: api.logout(session.refresh_token), "logout", "success"),
    ):
        assert growth(api, act, "auth_security_events_total", event=event, outcome=outcome) == 1


def test_ended_tokens_and_waits_for_a_processor_are_counted(server: Server, world: World) -> None:
    api, service, sessions = server.api, world.service(), [world.session().refresh_token for _ in range(3)]
    ended = growth(
        api, lambda: api.bulk_invalidate(service.access_token, [*sessions, "x"]), "auth_refresh_tokens_revoked_total"
    )
    assert ended == 3
    user, name = world.user(), world.login_service()
    assert growth(api, lambda: api.login(user, PASSWORD, name), "auth_hash_wait_seconds_count") == 1


def test_what_is_no_path_makes_no_series(server: Server) -> None:
    """Nobody can fill the memory of whoever reads the metrics."""
    for path in ("/secret-1", "/secret-2", "/auth/sessions/secret-3"):
        server.api.call("DELETE", path)
    assert "secret" not in server.api.call("GET", "/metrics").body.decode()
    assert number(server.api, "auth_requests_total", rpc="none", status="404") >= 2


def test_the_pool_and_its_faults_are_seen(environment: dict[str, str], database_url: str, world: World) -> None:
    """Three requests hang in the database: three connections are in use, then three faults are counted."""
    proxy = Proxy(database_url)
    with serving({**environment, "DATABASE_URL": proxy.url()}) as [server]:
        token = world.session().refresh_token
        assert server.api.refresh(token).status == 200
        assert number(server.api, "auth_pool_in_use") == 0
        proxy.swallow()
        with ThreadPoolExecutor(3) as pool:
            hanging = [pool.submit(server.api.refresh, token) for _ in range(3)]
            seen = highest(server.api, "auth_pool_in_use", 3)
            assert {call.result().status for call in hanging} == {503}
        proxy.heal()
        assert seen == 3
        assert number(server.api, "auth_pool_in_use") == 0
        assert number(server.api, "auth_pool_waiting") == 0
        assert number(server.api, "auth_database_errors_total", kind="OperationalError") == 3
    proxy.close()


def highest(api: Api, name: str, expected: float) -> float:
    deadline, seen = time.monotonic() + 2, 0.0
    while seen < expected and time.monotonic() < deadline:
        seen = max(seen, number(api, name))
    return seen


def test_a_worker_that_dies_keeps_its_counts_and_leaves_no_gauge(
    environment: dict[str, str], database_url: str, world: World
) -> None:
    proxy = Proxy(database_url)
    with serving({**environment, "DATABASE_URL": proxy.url()}) as [server]:
        token = world.session().refresh_token
        assert server.api.refresh(token).status == 200
        proxy.swallow()
        with ThreadPoolExecutor(1) as pool:
            hanging = pool.submit(server.api.refresh, token)
            assert highest(server.api, "auth_pool_in_use", 1) == 1
            [worker] = workers_of(server)
            os.kill(worker, signal.SIGKILL)
            assert hanging.exception() is not None
        proxy.heal()
        server.wait_until_up()
        assert number(server.api, "auth_requests_total", rpc="refresh", status="200") == 1
        assert number(server.api, "auth_pool_in_use") == 0
    proxy.close()
