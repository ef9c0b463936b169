"""Races over two servers: the same code sent many times at once, and factors that change during logins."""

import os
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import psycopg
import pytest

from .support.api import Answer, Api, any_address
from .support.command_line import CommandLine
from .support.copies import wait_until
from .support.lockouts import pair_key
from .support.locks import holding, waits_for_a_lock
from .support.second_factor import (
    Authenticator,
    Owner,
    challenge_of,
    confirm_factor,
    factor_row,
    forget_steps,
    new_owner,
    sessions_of,
)
from .support.servers import Server
from .support.world import PASSWORD, QUICK_HASH, World
from .test_lockout_races import had_cooldowns

pytestmark = pytest.mark.xdist_group("second factor")

ROUNDS = 50 if "SOAK" in os.environ else 10  # of 20 codes
TOKENS = {"accessToken", "csrfToken", "refreshToken"}


@pytest.mark.parametrize("spread", ["one challenge", "many challenges", "many networks"])
def test_of_sixty_four_equal_codes_one_makes_a_session(
    servers: list[Server], world: World, service: str, database_url: str, spread: str
) -> None:
    owner = new_owner(servers[0].client(), world, password_hash=QUICK_HASH)
    before, one = sessions_of(database_url, owner.id), [server.client() for server in servers]
    apis = [servers[n % 2].client() for n in range(64)] if spread == "many networks" else one * 32
    challenges = [challenge_of(one[0], owner.id, service) for _ in range(1 if spread == "one challenge" else 64)]
    code = owner.app.code()
    with ThreadPoolExecutor(64) as pool:
        answers = list(pool.map(lambda n: apis[n].answer_challenge(challenges[n % len(challenges)], code), range(64)))
    statuses = Counter(answer.status for answer in answers)
    print(dict(statuses))
    assert statuses[200] == 1
    assert set(statuses) <= {200, 401, 429, 503}, statuses
    assert spread != "many networks" or statuses[429] == 0
    assert sessions_of(database_url, owner.id) == before + 1


def test_of_a_thousand_codes_each_makes_one_session(
    servers: list[Server], world: World, service: str, database_url: str
) -> None:
    """Each code is sent twice at once, with the same challenge, to both servers. (A thousand in `make soak`.)"""
    client = servers[0].client()
    owners = [new_owner(client, world, password_hash=QUICK_HASH) for _ in range(20)]
    challenges = {owner.id: challenge_of(client, owner.id, service) for owner in owners}
    made = Counter[str]()

    def log_in(owner: Owner) -> None:
        forget_steps(database_url, owner.id)
        challenge, code = challenges[owner.id], owner.app.code()
        answers = pairs.map(lambda server: server.client().answer_challenge(challenge, code), servers)
        statuses = sorted(answer.status for answer in answers)
        assert statuses in ([200, 401], [200, 503], [401, 503], [503, 503]), statuses
        made[owner.id] += 200 in statuses

    with ThreadPoolExecutor(8) as pool, ThreadPoolExecutor(16) as pairs:
        for _ in range(ROUNDS):
            list(pool.map(log_in, owners))
    for owner in owners:
        assert sessions_of(database_url, owner.id) == 1 + made[owner.id]
    assert sum(made.values()) > 0.9 * ROUNDS * len(owners)


def test_of_sixty_four_wrong_codes_at_once_five_are_evaluated(
    servers: list[Server], world: World, service: str, database_url: str
) -> None:
    owner, address = new_owner(servers[0].client(), world, password_hash=QUICK_HASH), any_address()
    had_cooldowns(database_url, pair_key(address, owner.id))  # the next one is long
    apis = [server.client(address) for server in servers]
    challenge, code = challenge_of(apis[0], owner.id, service), owner.app.wrong_code()
    with ThreadPoolExecutor(64) as pool:
        answers = Counter(pool.map(lambda n: apis[n % 2].answer_challenge(challenge, code).status, range(64)))
    print(dict(answers))
    assert set(answers) <= {401, 429, 503}, answers
    _, failures = factor_row(database_url, owner.id)
    assert failures is not None
    assert 1 <= answers[401] <= failures <= 5
    apis[0].answer_challenge(challenge, owner.app.code()).refused(429)


def test_from_any_networks_a_factor_evaluates_a_hundred_codes(
    servers: list[Server], world: World, service: str, database_url: str
) -> None:
    owner = new_owner(servers[0].client(), world, password_hash=QUICK_HASH)
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE second_factor SET failures = 90 WHERE principal_id = %s", [owner.id])
    challenge, code = challenge_of(servers[0].client(), owner.id, service), owner.app.wrong_code()
    with ThreadPoolExecutor(32) as pool:
        guesses = pool.map(lambda n: servers[n % 2].client().answer_challenge(challenge, code).status, range(32))
        answers = Counter(guesses)
    print(dict(answers))
    assert answers[401] <= 10
    assert answers[401] + answers[403] + answers[503] == 32
    challenge = challenge_of(servers[0].client(), owner.id, service)
    servers[1].client().answer_challenge(challenge, owner.app.code()).refused(403, "SECOND_FACTOR_BLOCKED")


@pytest.mark.parametrize("use", ["login", "removal"])
def test_a_recovery_code_that_is_used_many_times_at_once_works_once(
    servers: list[Server], world: World, service: str, database_url: str, use: str
) -> None:
    owner = new_owner(servers[0].client(), world, password_hash=QUICK_HASH)
    apis = [servers[n % 2].client() for n in range(16)]
    challenges = [challenge_of(api, owner.id, service) for api in apis]

    def call(n: int) -> Answer:
        if use == "login":
            return apis[n].answer_challenge(challenges[n], owner.recovery_code)
        return apis[n].remove_credentials(owner.session.access_token, PASSWORD, owner.recovery_code)

    with ThreadPoolExecutor(16) as pool:
        statuses = Counter(answer.status for answer in pool.map(call, range(16)))
    print(dict(statuses))
    assert statuses[200] == 1
    assert set(statuses) <= {200, 400, 401, 503}
    assert sessions_of(database_url, owner.id) == 1
    assert factor_row(database_url, owner.id) == (False, None)


def test_of_set_ups_that_are_confirmed_at_once_one_counts(
    servers: list[Server], world: World, service: str, database_url: str
) -> None:
    session, apis = world.session(world.user(password_hash=QUICK_HASH)), [servers[n % 2].client() for n in range(8)]
    made = [api.create_credentials(session.access_token).ok() for api in apis]
    owners = [Owner(session, Authenticator(each["secret"]), each["recoveryCode"]) for each in made]

    def confirm(n: int) -> int:
        return apis[n].answer_challenge(made[n]["challengeId"], owners[n].app.code(), session.access_token).status

    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(confirm, range(8)))
    assert statuses.count(200) == 1
    assert set(statuses) <= {200, 400, 401, 503}
    owner = owners[statuses.index(200)]
    assert apis[0].answer_challenge(challenge_of(apis[0], owner.id, service), owner.app.code(1)).status == 200


def test_a_login_that_gave_only_the_password_fails_when_a_factor_is_added(
    servers: list[Server], world: World, service: str, database_url: str
) -> None:
    """The login waits for the person's row, and sees the factor as soon as it is there."""
    api, other = servers[0].client(), servers[1].client()
    session = world.session(world.user(password_hash=QUICK_HASH))
    made = api.create_credentials(session.access_token).ok()
    app = Authenticator(made["secret"])
    with ThreadPoolExecutor(2) as pool:
        with holding(database_url, "SELECT FROM principal WHERE id = %s FOR UPDATE", session.id):
            confirming = pool.submit(api.answer_challenge, made["challengeId"], app.code(), session.access_token)
            assert waits_for_a_lock(database_url, confirming)
            login = pool.submit(other.login, session.id, PASSWORD, service)
            wait_until(lambda: waiting(database_url) == 2)
        assert confirming.result().status == 200
        login.result().refused(401, "INCORRECT_CREDENTIALS")
    assert sessions_of(database_url, session.id) == 1


def waiting(database_url: str) -> int:
    with psycopg.connect(database_url, autocommit=True, prepare_threshold=None) as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        ).fetchone()
    assert row is not None
    return int(row[0])


@dataclass
class Logins:
    """Repeated logins of one person on two servers. `log_in` makes one of them."""

    log_in: Callable[[Api], Answer]
    began: list[tuple[float, str]] = field(default_factory=list)  # of each session: when its login began, its token

    def beside(self, servers: list[Server], change: Callable[[], object]) -> float:
        """Run the change during the logins. Returns the monotonic time of its answer."""
        stop, statuses = threading.Event(), Counter[int]()

        def work(thread: int) -> None:
            while not stop.is_set():
                started, answer = time.monotonic(), self.log_in(servers[thread % 2].client())
                statuses[answer.status] += 1
                if answer.status == 200 and "refreshToken" in answer.json:
                    self.began.append((started, answer.json["refreshToken"]))

        with ThreadPoolExecutor(8) as pool:
            threads = [pool.submit(work, thread) for thread in range(8)]
            try:
                wait_until(lambda: sum(statuses.values()) > 16)
                change()
                answered, count = time.monotonic(), sum(statuses.values())
                wait_until(lambda: sum(statuses.values()) > count + 16)
            finally:
                stop.set()
        assert not any(thread.exception() for thread in threads)
        assert set(statuses) <= {200, 401, 429, 503}, statuses
        return answered


@pytest.mark.parametrize("_", range(3))
def test_after_the_answer_of_a_set_up_no_session_without_the_factor_lives(
    servers: list[Server], world: World, service: str, _: int
) -> None:
    """Neither sessions from before it, nor sessions of logins that had begun before it."""
    session = world.session(world.user(password_hash=QUICK_HASH))
    api, logins = servers[1].client(), Logins(lambda api: api.login(session.id, PASSWORD, service))
    made = api.create_credentials(session.access_token).ok()
    logins.beside(servers, lambda: confirm_factor(api, session, made))
    assert len(logins.began) > 0
    assert [token for _, token in logins.began if api.refresh(token).status != 401] == []
    assert api.refresh(session.refresh_token).status == 200


@pytest.mark.parametrize("way", ["removeCredentials", "recovery"])
def test_after_the_answer_of_a_removal_no_other_session_lives(
    servers: list[Server], world: World, service: str, database_url: str, way: str
) -> None:
    """Sessions of logins with a code, before the removal, have ended. Logins after it need the password alone."""
    api = servers[0].client()
    owner = new_owner(api, world, password_hash=QUICK_HASH)
    forget_steps(database_url, owner.id)

    def log_in(api: Api) -> Answer:
        answer = api.login(owner.id, PASSWORD, service)
        if answer.status != 200 or set(answer.json) == TOKENS:
            return answer
        forget_steps(database_url, owner.id)
        return api.answer_challenge(answer.json["2fa"], owner.app.code())

    def remove() -> None:
        earlier.extend(token for _, token in logins.began)
        if way == "recovery":
            kept.append(
                api.answer_challenge(challenge_of(api, owner.id, service), owner.recovery_code).ok()["refreshToken"]
            )
        else:
            api.remove_credentials(owner.session.access_token, PASSWORD, owner.recovery_code).ok()
            kept.append(owner.session.refresh_token)

    logins, kept, earlier = Logins(log_in), list[str](), list[str]()
    logins.beside(servers, remove)
    assert factor_row(database_url, owner.id) == (False, None)
    assert [api.refresh(token).status for token in kept] == [200]
    assert {api.refresh(token).status for token in earlier} == {401}
    assert any(api.refresh(token).status == 200 for _, token in logins.began)


@pytest.mark.parametrize("kind", ["code", "recovery code"])
def test_a_code_is_spent_before_a_waiting_equal_code(
    servers: list[Server], world: World, service: str, database_url: str, kind: str
) -> None:
    """Both equal codes have been read, and wait for the lock of the person's row: only one makes a session."""
    owner = new_owner(servers[0].client(), world, password_hash=QUICK_HASH)
    apis = [server.client() for server in servers]
    challenges = [challenge_of(api, owner.id, service) for api in apis]
    code = owner.app.code() if kind == "code" else owner.recovery_code
    with ThreadPoolExecutor(2) as pool:
        with holding(database_url, "SELECT FROM principal WHERE id = %s FOR UPDATE", owner.id):
            answers = [pool.submit(apis[n].answer_challenge, challenges[n], code) for n in range(2)]
            wait_until(lambda: waiting(database_url) == 2)
        statuses = sorted(answer.result().status for answer in answers)
    assert statuses == [200, 401]
    assert sessions_of(database_url, owner.id) == (2 if kind == "code" else 1)


@pytest.mark.parametrize("way", ["removeCredentials", "recovery", "reset-second-factor"])
def test_a_right_code_that_waits_behind_a_removal_makes_no_session(
    servers: list[Server], world: World, service: str, database_url: str, flask: CommandLine, way: str
) -> None:
    """Such a session would begin after the removal has ended the others, and would stay."""
    api, other = servers[0].client(), servers[1].client()
    owner = new_owner(api, world, password_hash=QUICK_HASH)
    challenges = [challenge_of(api, owner.id, service) for _ in range(2)]
    removals: dict[str, Callable[[], object]] = {
        "removeCredentials": lambda: api.remove_credentials(
            owner.session.access_token, PASSWORD, owner.recovery_code
        ).ok(),
        "recovery": lambda: api.answer_challenge(challenges[0], owner.recovery_code).ok(),
        "reset-second-factor": lambda: flask.json("users", "reset-second-factor", owner.id),
    }
    with ThreadPoolExecutor(2) as pool:
        with holding(database_url, "SELECT FROM principal WHERE id = %s FOR UPDATE", owner.id):
            removing = pool.submit(removals[way])
            wait_until(lambda: waiting(database_url) == 1)
            answer = pool.submit(other.answer_challenge, challenges[1], owner.app.code())
            wait_until(lambda: waiting(database_url) == 2)
        removing.result()
        answer.result().refused(401)
    assert factor_row(database_url, owner.id) == (False, None)
    assert sessions_of(database_url, owner.id) == (0 if way == "reset-second-factor" else 1)


@pytest.mark.parametrize("change", ["removal", "new password", "disable"])
def test_a_code_that_was_right_makes_no_session_after_a_change(
    servers: list[Server], world: World, service: str, database_url: str, change: str
) -> None:
    owner = new_owner(servers[0].client(), world, password_hash=QUICK_HASH)
    challenge = challenge_of(servers[0].client(), owner.id, service)
    statement = {
        "removal": "WITH gone AS (DELETE FROM second_factor WHERE principal_id = %(id)s) UPDATE principal "
        "SET two_factor_authentication = false, password_generation = password_generation + 1 WHERE id = %(id)s",
        "new password": "UPDATE principal SET password_generation = password_generation + 1 WHERE id = %(id)s",
        "disable": "UPDATE principal SET disabled_at = now() WHERE id = %(id)s",
    }[change]
    with ThreadPoolExecutor(1) as pool:
        with psycopg.connect(database_url) as connection:
            connection.execute("SELECT FROM principal WHERE id = %s FOR UPDATE", [owner.id])
            answer = pool.submit(servers[1].client().answer_challenge, challenge, owner.app.code())
            assert waits_for_a_lock(database_url, answer)
            connection.execute(statement, {"id": owner.id})
        answer.result().refused(401)
    assert sessions_of(database_url, owner.id) == 1
