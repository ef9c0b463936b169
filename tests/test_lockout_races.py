"""The limits on guessing, with parallel logins over two servers."""

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from flask import Flask

from .support.api import Api, any_address, send_to_app
from .support.lockouts import FAILURES, MOST_SEVERE, fail, locked, pair_key, pass_time
from .support.locks import waits_for_a_lock
from .support.servers import Server
from .support.world import PASSWORD, World


def race(servers: list[Server], world: World, database_url: str, pairs: int) -> Counter[int]:
    """Log in 64 times at once for each pair of network and username, every eighth time with the right password.

    Asserts that no pair gets more 401s than the limit. A pair's cooldown would be the most severe, so that it does not
    end during the race. Returns the number of answers by status.
    """
    service, statuses = world.login_service(), Counter[int]()
    with ThreadPoolExecutor(64) as pool:
        for _ in range(pairs):
            user, address = world.user(), any_address()
            had_cooldowns(database_url, pair_key(address, user))
            clients = [server.client(address) for server in servers]

            def login(n: int, clients: list[Api] = clients, user: str = user) -> int:
                return clients[n % len(clients)].login(user, "wrong" if n % 8 else PASSWORD, service).status

            answers = Counter(pool.map(login, range(64)))
            assert set(answers) <= {200, 401, 429, 503}, answers
            assert answers[401] <= FAILURES, answers
            statuses += answers
    return statuses


def had_cooldowns(database_url: str, key: bytes) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "INSERT INTO login_limit (key, severity, cooled_down_at, expires_at)"
            " VALUES (%s, %s, now() - interval '1 s', now() + interval '2 h')",
            [key, MOST_SEVERE - 1],
        )


@pytest.mark.xdist_group("servers")
def test_sixty_four_guesses_at_once_over_two_servers(
    servers: list[Server], world: World, service: str, database_url: str
) -> None:
    with ThreadPoolExecutor(64) as pool:
        for _ in range(2):
            user, address = world.user(), any_address()
            clients = [server.client(address) for server in servers]
            started = time.monotonic()
            guesses = pool.map(lambda n, c=clients, u=user: c[n % 2].login(u, "wrong", service).status, range(64))
            counted = Counter(guesses)
            assert set(counted) <= {401, 429, 503}, counted
            assert counted[401] <= FAILURES
            assert counted[401] + counted[503] > 0
            if counted[401] < FAILURES:  # a slow machine: logins that got no hash in time took their counts back
                continue
            for client in clients:
                passed = started - time.monotonic()  # taken back: a slow machine would sit the cooldown out
                pass_time(database_url, passed, pair_key(address, user))
                started = time.monotonic()
                locked(client.login(user, PASSWORD, service))
            assert servers[0].client().login(user, PASSWORD, service).status == 200


@pytest.mark.xdist_group("servers")
def test_right_passwords_at_once_leave_nothing_counted(servers: list[Server], world: World, service: str) -> None:
    with ThreadPoolExecutor(32) as pool:
        user, address = world.user(), any_address()
        clients = [server.client(address) for server in servers]
        counted = Counter(pool.map(lambda n: clients[n % 2].login(user, PASSWORD, service).status, range(64)))
        assert set(counted) <= {200, 429, 503}, counted
        fail(clients[0], user, service, FAILURES - 1)
        assert clients[1].login(user, PASSWORD, service).status == 200


@pytest.mark.xdist_group("servers")
def test_a_race_gives_no_pair_more_wrong_guesses(servers: list[Server], world: World, database_url: str) -> None:
    assert race(servers, world, database_url, pairs=4)[401] > 0


def test_a_login_that_waited_while_a_cooldown_ended_is_no_free_guess(
    app: Flask, world: World, service: str, database_url: str
) -> None:
    """Its failure would have a time before the end of that cooldown, and so would not count."""
    user, address = world.user(), any_address()
    key, api = pair_key(address, user), Api(send_to_app(app, address))
    had_cooldowns(database_url, key)
    with psycopg.connect(database_url, autocommit=True) as connection, ThreadPoolExecutor(1) as pool:
        with connection.transaction():
            connection.execute("UPDATE login_limit SET failures = '{}' WHERE key = %s", [key])
            answer = pool.submit(api.login, user, "wrong", service)
            assert waits_for_a_lock(database_url, answer)
            connection.execute("UPDATE login_limit SET cooled_down_at = clock_timestamp() WHERE key = %s", [key])
        assert locked(answer.result()) == 1
    fail(api, user, service, FAILURES)
    locked(api.login(user, PASSWORD, service))
