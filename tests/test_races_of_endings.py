"""Beside each call or command that ends something: no call that begins after its answer succeeds with what it ended."""

import os
import secrets
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest

from auth.cli.common import DirectDatabase
from auth.core import refresh_tokens

from .support.api import Api
from .support.copies import wait_until
from .support.rows import wait_for_lock
from .support.servers import BIN, PROJECT, serving
from .support.world import ORIGIN, Stored, World, claims

pytestmark = pytest.mark.xdist_group("races")

SOAK = "SOAK" in os.environ  # `make soak`: every ending, longer, with more clients
THREADS = 64 if SOAK else 16
SECONDS = 1.5 if SOAK else 0.1
ROUNDS = 3 if SOAK else 1
SCOPES = ("files:read", "auth:write")


@pytest.fixture(scope="module")
def apis(environment: dict[str, str]) -> Iterator[list[Api]]:
    with serving(environment, count=2) as servers:
        yield [server.client() for server in servers]


@dataclass
class Race:
    """A person, a service and a delegation between them, which clients on two servers use as fast as they can."""

    apis: list[Api]
    world: World
    environment: dict[str, str]
    user: Stored = field(init=False)
    service: Stored = field(init=False)
    bearer: str = field(init=False)
    delegation: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        self.user, self.service = self.world.session(), self.world.service(*SCOPES)
        self.bearer = self.apis[0].refresh(self.service.refresh_token).ok()["accessToken"]
        extend = self.apis[0].extend(self.bearer, self.user.access_token, *SCOPES, refreshes=True)
        self.delegation = extend.ok()

    def calls(self, token: str, refresh_token: str, bearer: str) -> list[Callable[[Api], int]]:
        return [
            lambda api: self.extend(api, bearer, token),
            lambda api: api.extend(bearer, token, "files:read").status,
            lambda api: api.request_one_time_token(token, "files:read").status,
            lambda api: api.refresh(refresh_token).status,
            *self.questions(token),
        ]

    def questions(self, token: str) -> list[Callable[[Api], int]]:
        """What gateways and resource servers ask about it. 401: it is not active."""
        client = self.world.service().client

        def introspect(api: Api) -> int:
            answer = api.introspect(client, token)
            return 401 if answer.status == 200 and not answer.json["active"] else answer.status

        return [lambda api: api.verify(token).status, introspect]

    def extend(self, api: Api, bearer: str, token: str) -> int:
        """The status of an extension with a refresh token, which is ended at once: a service may have a hundred."""
        answer = api.extend(bearer, token, "files:read", refreshes=True)
        if answer.status == 200:
            api.logout(answer.json["refreshToken"])
        return answer.status

    def run(self, calls: list[Callable[[Api], int]], end: Callable[[], object]) -> None:
        """Assert that no call that began after the ending's answer was a success."""
        ended, stop, late = [float("inf")], threading.Event(), list[int]()
        statuses = Counter[int]()  # a count may miss one: threads share it

        def work(thread: int) -> None:
            number = thread
            while not stop.is_set():
                number += 1
                started = time.monotonic()
                status = calls[number % len(calls)](self.apis[thread % 2])
                statuses[status] += 1
                if status == 200 and started > ended[0]:
                    late.append(number % len(calls))

        with ThreadPoolExecutor(THREADS) as pool:
            threads = [pool.submit(work, thread) for thread in range(THREADS)]
            try:
                wait_until(lambda: statuses[200] > THREADS)
                time.sleep(SECONDS)
                end()
                ended[0] = time.monotonic()
                wait_until(lambda: statuses[401] > THREADS)
                time.sleep(SECONDS)
            finally:
                stop.set()
        assert not any(thread.exception() for thread in threads)
        print(f"\n{dict(statuses)}, {len(late)} began after the answer and succeeded", end="")
        assert late == []
        assert set(statuses) - {503} == {200, 401}  # 503: a busy machine has no connection or processor in time

    def flask(self, *arguments: str, stdin: str = "") -> None:
        command = [str(BIN / "flask"), *arguments]
        subprocess.run(
            command, cwd=PROJECT, env=self.environment, input=stdin, text=True, check=True, capture_output=True
        )


@pytest.fixture
def race(apis: list[Api], world: World, environment: dict[str, str]) -> Race:
    return Race(apis, world, environment)


def stored(database_url: str, condition: str, value: object) -> int:
    with psycopg.connect(database_url) as connection:
        row = connection.execute(f"SELECT count(*) FROM refresh_token WHERE {condition}", [value]).fetchone()
    assert row is not None
    return int(row[0])


def some(*values: str) -> pytest.MarkDecorator:
    """Each of these endings in `make soak`, and the first one in the suite."""
    return pytest.mark.parametrize("ending", values if SOAK else values[:1])


@pytest.mark.parametrize("ending", ["services rotate", "services delete", "logout", "bulkInvalidate"])
def test_no_delegation_is_stored_after_the_services_own_token_has_ended(
    race: Race, database_url: str, ending: str
) -> None:  # fmt: skip
    """An extension that has read the service's token before it ended, and waits for the ending's commit, is refused."""
    service, other, direct = race.service, race.world.service(), DirectDatabase(database_url)
    other_bearer = race.world.tokens.verify(other.access_token).parameters()
    token_hash = refresh_tokens.digest(service.refresh_token)
    with ThreadPoolExecutor(1) as pool:
        with direct.transaction() as transaction:
            if ending == "services rotate":
                transaction.one("service_find", id=service.id)
                transaction.run("service_token_delete", service_id=service.id)
            elif ending == "services delete":
                transaction.one("principal_delete", id=service.id, principal_types=["service"])
            elif ending == "logout":
                transaction.one("refresh_token_delete", token_hash=token_hash)
            else:
                transaction.one("refresh_token_delete_many", token_hashes=[token_hash], **other_bearer)
            extending = pool.submit(
                race.apis[1].extend, race.bearer, race.user.access_token, "files:read", refreshes=True
            )
            wait_for_lock(database_url)
        extending.result().refused(401, "INVALID_TOKEN")
    assert stored(database_url, "extended_by = %s", service.id) == (0 if ending == "services delete" else 1)


@some("services rotate", "services delete", "logout", "bulkInvalidate")
def test_nothing_begins_after_a_services_own_token_has_ended(race: Race, database_url: str, ending: str) -> None:
    service, other, api = race.service, race.world.service(), race.apis[0]
    ends: dict[str, Callable[[], object]] = {
        "services rotate": lambda: race.flask("services", "rotate", service.id),
        "services delete": lambda: race.flask("services", "delete", service.id),
        "logout": lambda: api.logout(service.refresh_token).ok(),
        "bulkInvalidate": lambda: api.bulk_invalidate(other.access_token, [service.refresh_token]).ok(),
    }
    calls = race.calls(race.user.access_token, service.refresh_token, race.bearer)
    own = [lambda api: api.token("client_credentials", service.client).status, *race.questions(race.bearer)]
    race.run([*calls[:2], calls[3], *own], ends[ending])


@some("logout", "webLogout", "bulkInvalidate", "invalidateSession", "invalidateSessions")
def test_nothing_begins_after_a_session_has_ended(race: Race, ending: str) -> None:
    user, api, other = race.user, race.apis[0], race.world.service()
    reference = claims(user.access_token)["publicSessionReference"]
    ends: dict[str, Callable[[], object]] = {
        "logout": lambda: api.logout(user.refresh_token).ok(),
        "webLogout": lambda: api.web_logout(user.refresh_token, user.csrf, ORIGIN).ok(),
        "bulkInvalidate": lambda: api.bulk_invalidate(other.access_token, [user.refresh_token]).ok(),
        "invalidateSession": lambda: api.invalidate_session(user.access_token, reference).ok(),
        "invalidateSessions": lambda: api.invalidate_sessions(user.access_token).ok(),
    }
    race.run(race.calls(user.access_token, user.refresh_token, race.bearer), ends[ending])
    assert api.refresh(race.delegation["refreshToken"]).status == 200


@some("set-password", "disable", "delete")
@pytest.mark.parametrize("by", ["session", "delegation"] if SOAK else ["delegation"])
def test_nothing_begins_after_a_person_has_changed(race: Race, database_url: str, ending: str, by: str) -> None:
    arguments = ["users", ending, race.user.id] + ["--password-stdin"] * (ending == "set-password")
    token, refresh_token = race.user.access_token, race.user.refresh_token
    if by == "delegation":
        token, refresh_token = race.delegation["accessToken"], race.delegation["refreshToken"]
    calls = race.calls(token, refresh_token, race.bearer)
    race.run(calls, lambda: race.flask(*arguments, stdin="an altogether different phrase"))
    assert stored(database_url, "principal_id = %s", race.user.id) == 0


@pytest.mark.parametrize("stored_too", [False, True] if SOAK else [False])
def test_extensions_that_are_not_stored_end_with_a_new_password(race: Race, stored_too: bool) -> None:
    """The tokens that were being made while the password changed mint nothing afterwards."""
    made = list[str]()
    api = race.apis[1]

    def extend(api: Api) -> int:
        answer = api.extend(race.bearer, race.user.access_token, *SCOPES, refreshes=stored_too)
        if answer.status == 200:
            made.append(answer.json["accessToken"])
        return 200 if answer.status == 400 else answer.status  # 400: there are a hundred

    arguments = ("users", "set-password", race.user.id, "--password-stdin")
    race.run([extend], lambda: race.flask(*arguments, stdin="an altogether different phrase"))
    latest = made if SOAK else made[-300:]
    assert {api.request_one_time_token(token, "files:read").status for token in latest} == {401}


def test_nothing_begins_after_a_service_is_deleted(race: Race, database_url: str) -> None:
    calls = race.calls(race.user.access_token, race.delegation["refreshToken"], race.bearer)
    calls = [*calls[:2], calls[3], lambda api: api.claim(race.bearer, secrets.token_hex(8)).status]
    race.run(calls, lambda: race.flask("services", "delete", race.service.id))
    assert stored(database_url, "extended_by = %s", race.service.id) == 0


@some("logout", "bulkInvalidate")
def test_nothing_begins_after_a_delegation_has_ended(race: Race, database_url: str, ending: str) -> None:
    delegation, other, api = race.delegation, race.world.service(), race.apis[0]
    ends: dict[str, Callable[[], object]] = {
        "logout": lambda: api.logout(delegation["refreshToken"]).ok(),
        "bulkInvalidate": lambda: api.bulk_invalidate(other.access_token, [delegation["refreshToken"]]).ok(),
    }
    race.run(race.calls(delegation["accessToken"], delegation["refreshToken"], race.bearer), ends[ending])
    assert stored(database_url, "extended_by = %s", race.service.id) == 0
    assert api.refresh(race.user.refresh_token).status == 200


def test_endings_of_one_persons_tokens_do_not_deadlock(race: Race) -> None:
    """Commands and calls that end the same tokens in different orders, again and again: none fails."""
    api, caller = race.apis[0], race.world.service().access_token
    with ThreadPoolExecutor(8) as pool:
        for _ in range(ROUNDS):
            user = race.world.user()
            sessions = [race.world.session(user) for _ in range(40)]
            tokens = [session.refresh_token for session in sessions]
            made = [api.extend(race.bearer, session.access_token, *SCOPES, refreshes=True).ok() for session in sessions]
            delegations = [each["refreshToken"] for each in made]
            answers = [
                pool.submit(api.bulk_invalidate, caller, tokens[::-1] + delegations),
                pool.submit(race.apis[1].bulk_invalidate, caller, delegations[::-1] + tokens),
                pool.submit(race.apis[1].invalidate_sessions, sessions[0].access_token),
                *(pool.submit(api.logout, token) for token in delegations[:2]),
            ]
            commands = [
                pool.submit(race.flask, "users", "set-password", user, "--password-stdin", stdin=f"a long {n} phrase")
                for n in ("first", "other")
            ]
            assert {answer.result().status for answer in answers} <= {200, 401}
            for command in commands:
                command.result()
            race.flask("users", "delete", user)


def test_a_user_is_deleted_beside_a_new_password(race: Race) -> None:
    """Neither command deadlocks: the deletion succeeds, the other one may come too late."""
    with ThreadPoolExecutor(4) as pool:
        for _ in range(ROUNDS):
            user = race.world.user()
            for _ in range(200):
                race.world.session(user)
            setting = [
                pool.submit(
                    subprocess.run,
                    [str(BIN / "flask"), "users", "set-password", user, "--password-stdin"],
                    cwd=PROJECT, env=race.environment, input="an altogether different phrase", text=True,
                    capture_output=True,
                )
                for _ in range(2)
            ]  # fmt: skip
            race.flask("users", "delete", user)
            for command in setting:
                finished = command.result()
                assert finished.returncode == 0 or finished.stderr.strip() == f"Error: There is no user {user}."
