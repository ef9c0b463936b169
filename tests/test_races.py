"""Races over several server processes, with more threads than connections: the database decides each of them."""

import secrets
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from .support.api import Api
from .support.command_line import CommandLine
from .support.copies import wait_until
from .support.databases import NewDatabase
from .support.locks import holding, waits_for_a_lock
from .support.servers import BIN, PROJECT, Server
from .support.world import ORIGIN, PASSWORD, Stored, World

pytestmark = pytest.mark.xdist_group("races")


@pytest.fixture
def apis(servers: list[Server]) -> list[Api]:
    return [server.client() for server in servers]


def test_after_an_acknowledged_logout_nothing_refreshes(apis: list[Api], world: World) -> None:
    """Threads refresh on both servers all the while; a refresh that starts after the logout's answer is a 401."""
    sessions = [world.session() for _ in range(20)]
    ended: dict[str, float] = {}
    late, counted = list[str](), Counter[int]()  # a count may miss one: threads share it
    stop = threading.Event()

    def refresh(thread: int) -> None:
        while not stop.is_set():
            session = sessions[secrets.randbelow(len(sessions))]
            started = time.monotonic()
            status = apis[thread % 2].refresh(session.refresh_token).status
            counted[status] += 1
            if status == 200 and started > ended.get(session.refresh_token, float("inf")):
                late.append(session.refresh_token)

    def end(number: int, session: Stored) -> None:
        api = apis[number % 2]
        answers = [
            lambda: api.logout(session.refresh_token),
            lambda: api.web_logout(session.refresh_token, session.csrf, ORIGIN),
            lambda: api.invalidate_sessions(session.access_token),
            lambda: api.bulk_invalidate(service.access_token, [session.refresh_token]),
        ]
        assert answers[number % 4]().status == 200
        ended[session.refresh_token] = time.monotonic()

    service = world.service()
    with ThreadPoolExecutor(24) as pool:
        threads = [pool.submit(refresh, thread) for thread in range(24)]
        wait_until(lambda: counted[200] > 20)
        for number, session in enumerate(sessions):
            time.sleep(0.03)
            end(number, session)
        wait_until(lambda: counted[401] > 20)
        stop.set()
    assert not any(thread.exception() for thread in threads)
    assert late == []
    assert set(counted) == {200, 401}


def test_of_many_logouts_of_one_session_one_wins(apis: list[Api], world: World) -> None:
    with ThreadPoolExecutor(16) as pool:
        for _ in range(5):
            token = world.session().refresh_token
            statuses = Counter(pool.map(lambda n, token=token: apis[n % 2].logout(token).status, range(16)))
            assert statuses == {200: 1, 401: 15}


def test_a_new_password_ends_logins_that_are_under_way(
    apis: list[Api], environment: dict[str, str], world: World
) -> None:
    """A login with the old password may succeed or fail, but its session does not outlive the change."""
    service = world.login_service()
    for _ in range(2):
        user, tokens = world.user(), list[str]()
        stop = threading.Event()

        def log_in(thread: int, user: str = user, tokens: list[str] = tokens, stop: threading.Event = stop) -> None:
            while not stop.is_set():
                answer = apis[thread % 2].login(user, PASSWORD, service)
                if answer.status == 200:
                    tokens.append(answer.json["refreshToken"])

        with ThreadPoolExecutor(4) as pool:
            for thread in range(4):
                pool.submit(log_in, thread)
            wait_until(lambda: len(tokens) > 4)  # noqa: B023 - called at once
            changed = subprocess.run(
                [str(BIN / "flask"), "users", "set-password", user, "--password-stdin"],
                cwd=PROJECT, env=environment, input="an altogether new one", text=True, check=True, capture_output=True,
            )  # fmt: skip
            time.sleep(0.3)
            stop.set()
        assert changed.returncode == 0
        assert {apis[1].refresh(token).status for token in tokens} == {401}


def test_disabling_ends_extensions_that_are_under_way(
    apis: list[Api], environment: dict[str, str], world: World
) -> None:
    session, service = world.session(), world.service("files:read")
    tokens, stop = list[str](), threading.Event()

    def extend(thread: int) -> None:
        while not stop.is_set():
            api = apis[thread % 2]
            answer = api.extend(service.access_token, session.access_token, "files:read", refreshes=True)
            if answer.status == 200:
                tokens.append(answer.json["refreshToken"])

    with ThreadPoolExecutor(4) as pool:
        for thread in range(4):
            pool.submit(extend, thread)
        wait_until(lambda: len(tokens) > 8)
        command = [str(BIN / "flask"), "users", "disable", session.id]
        subprocess.run(command, cwd=PROJECT, env=environment, check=True, capture_output=True)
        time.sleep(0.2)
        stop.set()
    world.db.one("principal_enable", id=session.id)
    assert {apis[0].refresh(token).status for token in tokens} == {401}


def test_of_a_services_refresh_tokens_only_the_newest_works(
    apis: list[Api], environment: dict[str, str], world: World
) -> None:
    """Two operators rotate at once, while the service refreshes: its old tokens end with the answers."""
    service, stop = world.service(), threading.Event()

    def refresh(thread: int) -> None:
        while not stop.is_set():
            apis[thread % 2].refresh(service.refresh_token)

    def rotate(_: int) -> str:
        command = [str(BIN / "flask"), "services", "rotate", service.id]
        return subprocess.run(
            command, cwd=PROJECT, env=environment, check=True, capture_output=True, text=True
        ).stdout.splitlines()[-1]

    with ThreadPoolExecutor(8) as pool:
        for thread in range(4):
            pool.submit(refresh, thread)
        tokens = [service.refresh_token, *pool.map(rotate, range(4))]
        statuses = Counter(apis[1].refresh(token).status for token in tokens)
        stop.set()
    assert statuses == {200: 1, 401: 4}
    assert apis[0].refresh(service.refresh_token).status == 401


def test_deletes_that_meet_do_not_deadlock(apis: list[Api], environment: dict[str, str], world: World) -> None:
    """A user is deleted while their sessions are ended in other ways, in other orders."""
    with ThreadPoolExecutor(8) as pool:
        for _ in range(5):
            user, caller = world.user(), world.service().access_token
            sessions = [world.session(user) for _ in range(60)]
            tokens = [session.refresh_token for session in sessions]
            answers = [
                pool.submit(apis[0].invalidate_sessions, sessions[0].access_token),
                pool.submit(apis[1].bulk_invalidate, caller, tokens[::-1]),
                pool.submit(apis[0].bulk_invalidate, caller, tokens[::2] + tokens[1::2]),
            ]
            deleted = world.db.one("principal_delete", id=user, principal_types=["password"])
            assert deleted == {"id": user}
            first, *others = [answer.result().status for answer in answers]
            assert first in (200, 401)  # its own session may have ended before
            assert others == [200] * 2


@pytest.mark.usefixtures("without_order")
@pytest.mark.parametrize("call", ["bulkInvalidate", "services delete"])
def test_people_are_locked_in_the_order_of_their_ids(
    api: Api, world: World, flask: CommandLine, database_url: str, call: str
) -> None:
    """While the first one is locked by another transaction, no other one is locked yet: so no two calls deadlock."""
    service, sessions = world.service("files:read"), [world.session() for _ in range(12)]
    for session in sessions:
        api.extend(service.access_token, session.access_token, "files:read", refreshes=True).ok()
    people, tokens = sorted(each.id for each in sessions), [each.refresh_token for each in sessions]
    ends: dict[str, Callable[[], object]] = {
        "bulkInvalidate": lambda: api.bulk_invalidate(service.access_token, tokens).ok(),
        "services delete": lambda: flask.json("services", "delete", service.id),
    }
    lock = "SELECT FROM principal WHERE id = ANY (%s) FOR UPDATE SKIP LOCKED"
    with ThreadPoolExecutor(1) as pool:
        with holding(database_url, lock, people[:1]) as connection:
            ending = pool.submit(ends[call])
            assert waits_for_a_lock(database_url, ending)
            assert connection.execute(lock, [people]).rowcount == len(people)
        ending.result()


def test_two_processes_migrate_at_once(server_url: str) -> None:
    with NewDatabase(server_url) as url:
        command = [str(BIN / "flask"), "db", "migrate", "--json"]
        both = [
            subprocess.Popen(command, cwd=PROJECT, env={"DATABASE_URL": url}, stdout=subprocess.PIPE, text=True)
            for _ in range(4)
        ]
        printed = [process.communicate(timeout=60)[0] for process in both]
        assert [process.returncode for process in both] == [0] * 4
        assert sum(text.count("0001_principal") for text in printed) == 1
