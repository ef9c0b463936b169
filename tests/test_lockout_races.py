"""The limits on guessing, with parallel logins over two servers."""

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from .api import any_address
from .lockouts import fail, locked, pair_key, pass_time
from .servers import serving
from .world import PASSWORD, World


@pytest.fixture
def service(world: World) -> str:
    return world.login_service()


@pytest.mark.xdist_group("servers")
def test_sixty_four_guesses_at_once_over_two_servers(
    environment: dict[str, str], world: World, service: str, database_url: str
) -> None:
    with serving(environment, count=2) as servers, ThreadPoolExecutor(64) as pool:
        for _ in range(3):
            user, address = world.user(), any_address()
            clients = [server.client(address) for server in servers]
            started = time.monotonic()
            guesses = pool.map(lambda n, c=clients, u=user: c[n % 2].login(u, "wrong", service).status, range(64))
            counted = Counter(guesses)
            assert set(counted) <= {401, 429, 503}, counted
            assert counted[401] <= 5
            assert counted[401] + counted[503] > 0
            for client in clients:
                passed = started - time.monotonic()  # taken back: a slow machine would sit the cooldown out
                pass_time(database_url, passed, pair_key(address, user))
                started = time.monotonic()
                locked(client.login(user, PASSWORD, service))
            assert servers[0].client().login(user, PASSWORD, service).status == 200


@pytest.mark.xdist_group("servers")
def test_right_passwords_at_once_leave_nothing_counted(environment: dict[str, str], world: World, service: str) -> None:
    with serving(environment, count=2) as servers, ThreadPoolExecutor(32) as pool:
        user, address = world.user(), any_address()
        clients = [server.client(address) for server in servers]
        counted = Counter(pool.map(lambda n: clients[n % 2].login(user, PASSWORD, service).status, range(64)))
        assert set(counted) <= {200, 429, 503}, counted
        fail(clients[0], user, service, 4)
        assert clients[1].login(user, PASSWORD, service).status == 200
