"""Faults of the database: always 503, quickly, and afterwards the service works as before.

Each test says what clients see, and what must be true in the database when it is back.
"""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
from cryptography.fernet import Fernet
from psycopg.conninfo import conninfo_to_dict

from auth.cli.common import DirectDatabase
from auth.cli.keys import generate_private_key
from auth.cli.migrations import migrate
from auth.core import refresh_tokens
from auth.core.keys import Keyring, load_private_key
from auth.core.tokens import AccessTokens
from auth.http.rpc import RPCS
from dev.embedded import EmbeddedPostgres

from .support.api import Answer, Api
from .support.copies import wait_until
from .support.proxy import Proxy
from .support.second_factor import Authenticator, Owner, challenge_of, new_owner
from .support.servers import Server, serving
from .support.timing import seconds_of
from .support.world import ORIGIN, PASSWORD, QUICK_HASH, World

pytestmark = [
    pytest.mark.xdist_group("faults"),
    pytest.mark.skipif("TEST_DATABASE_URL" in os.environ, reason="breaks a server of its own, and not somebody's"),
]

NEW_PASSWORD = "seventeen violet kettles"
UNKNOWN = ("invalidateSession", "invalidateDelegation")  # their ids are unknown
LATEST = 3.0  # seconds in which an outage is answered
LATEST_SILENCE = 6.0  # and an outage by a server that accepts connections and never answers
BACK = 2.0  # seconds until the first success


class Site:
    """A database that may be broken, a link to it that may too, and a server on that link."""

    def __init__(self, home: Path) -> None:
        self.postgres = EmbeddedPostgres(home, ["max_connections=40", "fsync=off", "restart_after_crash=off"])
        self.postgres.start()
        self.direct = self.postgres.url()
        migrate(DirectDatabase(self.direct))
        self.proxy = Proxy(self.direct)
        pem = generate_private_key("ES256")
        self.world = World(DirectDatabase(self.direct), AccessTokens(Keyring(load_private_key(pem)), "cloud.sdu.dk"))
        self.environment = {"DATABASE_URL": self.proxy.url(), "JWT_PRIVATE_KEY": pem, "TRUSTED_ORIGINS": ORIGIN}
        self.environment["SECOND_FACTOR_KEYS"] = Fernet.generate_key().decode()
        self.server: Server

    @property
    def api(self) -> Api:
        return self.server.client()

    def rows(self, query: str, *parameters: object) -> list[Any]:
        with psycopg.connect(self.direct, autocommit=True) as connection:
            return connection.execute(query, parameters).fetchall()

    def start(self) -> None:
        """The same server again, reached by the same path."""
        self.postgres.start()

    def wait_until_back(self, refresh_token: str, since: float) -> float:
        """How many seconds after `since` the first refresh succeeded."""
        while time.monotonic() < since + 30:
            if self.api.refresh(refresh_token).status == 200:
                return time.monotonic() - since
            time.sleep(0.02)
        raise AssertionError("it does not come back")


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    home = Path(tempfile.mkdtemp(prefix="auth-fault-"))
    site = Site(home)
    try:
        with serving(site.environment, workers=1) as [site.server]:
            yield site
    finally:
        site.proxy.close()
        site.postgres.remove()


@pytest.fixture(autouse=True)
def healthy(site: Site) -> Iterator[None]:
    """Each test starts from a site that serves, and leaves one that does."""
    yield
    site.proxy.heal()
    site.start()
    site.wait_until_back(site.world.service().refresh_token, time.monotonic())


def every_call(site: Site) -> dict[str, Callable[[], Answer]]:
    """All RPCs, each with arguments with which it would succeed."""
    api, world = site.api, site.world
    user, service = world.session(), world.service("files:read")
    name, login_service, jti = world.user(), world.login_service(), secrets.token_hex(8)
    one, two, three, four = (world.session() for _ in range(4))  # each ended by a call of its own
    five, seven, owner = world.session(), world.session(), new_owner(api, world)
    six = owner.session.access_token
    setup = api.create_credentials(five.access_token).ok()
    code = Authenticator(setup["secret"]).code()
    reference = "00000000-0000-0000-0000-000000000000"
    reset_token = refresh_tokens.generate()
    reset_hash = refresh_tokens.digest(reset_token)
    world.db.one("password_reset_start", id=world.user(), reset_token_hash=reset_hash, valid_minutes=30)
    calls = {
        "passwordLogin": lambda: api.login(name, PASSWORD, login_service),
        "refresh": lambda: api.refresh(user.refresh_token),
        "webRefresh": lambda: api.web_refresh(user.refresh_token, user.csrf, ORIGIN),
        "logout": lambda: api.logout(one.refresh_token),
        "webLogout": lambda: api.web_logout(two.refresh_token, two.csrf, ORIGIN),
        "bulkInvalidate": lambda: api.bulk_invalidate(service.access_token, [three.refresh_token]),
        "requestOneTimeTokenWithAudience": lambda: api.request_one_time_token(user.access_token, "files:read"),
        "claim": lambda: api.claim(service.access_token, jti),
        "tokenExtension": lambda: api.extend(service.access_token, user.access_token, "files:read", refreshes=True),
        "listUserSessions": lambda: api.sessions(user.access_token),
        "invalidateSession": lambda: api.invalidate_session(user.access_token, reference),
        "listDelegations": lambda: api.delegations(user.access_token),
        "invalidateDelegation": lambda: api.invalidate_delegation(user.access_token, reference),
        "invalidateDelegations": lambda: api.invalidate_delegations(user.access_token),
        "changePassword": lambda: api.change_password(user.access_token, PASSWORD, NEW_PASSWORD),
        "resetPassword": lambda: api.reset_password(reset_token, NEW_PASSWORD),
        "twofactor.createCredentials": lambda: api.create_credentials(user.access_token),
        "twofactor.answerChallenge": lambda: api.answer_challenge(setup["challengeId"], code, five.access_token),
        "twofactor.twoFactorStatus": lambda: api.two_factor_status(user.access_token),
        "twofactor.removeCredentials": lambda: api.remove_credentials(six, PASSWORD, owner.app.code()),
        "sla.find": lambda: api.find_sla(user.access_token),
        "sla.accept": lambda: api.accept_sla(user.access_token, 0),
        "createPersonalToken": lambda: api.create_personal_token(user.access_token, "files:read"),
        "oauth.token": lambda: api.token("client_credentials", service.client),
        "oauth.introspect": lambda: api.introspect(service.client, user.access_token),
        "oauth.revoke": lambda: api.revoke(seven.refresh_token),
        "oauth.verify": lambda: api.verify(user.access_token),
        "invalidateSessions": lambda: api.invalidate_sessions(four.access_token),
    }
    assert set(calls) == set(RPCS), "each RPC needs its line here"
    return calls


def unavailable(answer: Answer) -> None:
    answer.refused(503, "DATABASE_UNAVAILABLE")
    assert answer.header("Retry-After")


def all_unavailable(calls: Mapping[str, Callable[[], Answer]], latest: float) -> None:
    """Assert that every call is a 503 in time."""

    def timed(call: Callable[[], Answer]) -> float:
        return seconds_of(lambda: unavailable(call()), latest)

    with ThreadPoolExecutor(len(calls)) as pool:
        taken = dict(zip(calls, pool.map(timed, calls.values()), strict=True))
    assert max(taken.values()) < latest, taken


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_stopped_server(site: Site, mode: str) -> None:
    """503 for every call, while what needs no database goes on; afterwards every credential is as good as before."""
    calls = every_call(site)
    site.postgres.stop(mode)
    for _ in range(2):
        all_unavailable(calls, LATEST)
    assert site.api.jwks()["keys"]
    assert site.api.call("GET", "/livez").status == 200
    unavailable(site.api.call("GET", "/readyz"))
    time.sleep(float(os.environ.get("OUTAGE_SECONDS", "2")))
    all_unavailable(calls, LATEST)
    site.start()
    assert site.wait_until_back(site.world.service().refresh_token, time.monotonic()) < BACK
    for name, call in calls.items():
        status = call().status
        assert status == (404 if name in UNKNOWN else 200), (name, status)
    assert site.api.call("GET", "/readyz").status == 200


def test_no_errors_are_left_after_five_seconds(site: Site) -> None:
    """No request and no broken connection is left over: 5 seconds after the return, no call fails."""
    token = site.world.service().refresh_token
    site.postgres.stop("immediate")
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda _: unavailable(site.api.refresh(token)), range(32)))
        site.start()
        time.sleep(5)
        assert {answer.status for answer in pool.map(lambda _: site.api.refresh(token), range(200))} == {200}


@contextmanager
def claiming(site: Site, threads: int = 8) -> Iterator[dict[str, list[int | None]]]:
    """Claims going on all the time, each jti several times over: the statuses that clients saw for each."""
    bearer, seen = site.world.service().access_token, dict[str, list[int | None]]()
    stop = threading.Event()

    def claim() -> None:
        while not stop.is_set():
            jti = secrets.token_hex(8)
            for _ in range(2):
                try:
                    status: int | None = site.api.claim(bearer, jti).status
                except OSError:
                    status = None  # the connection broke: nothing was acknowledged
                seen.setdefault(jti, []).append(status)

    with ThreadPoolExecutor(threads) as pool:
        for _ in range(threads):
            pool.submit(claim)
        try:
            yield seen
        finally:
            stop.set()


def many_claimed(seen: dict[str, list[int | None]]) -> bool:
    return sum(200 in statuses for statuses in list(seen.values())) > 20


def assert_kept(site: Site, seen: dict[str, list[int | None]]) -> None:
    """Every acknowledged claim is stored, none succeeded twice, and no answer is anything but 200, 409 or 503."""
    stored = {row[0] for row in site.rows("SELECT jti FROM jti_claim")}
    counted = Counter(status for statuses in seen.values() for status in statuses)
    assert set(counted) <= {200, 409, 503, None}, counted
    for jti, statuses in seen.items():
        assert statuses.count(200) <= 1, jti
        if 200 in statuses or 409 in statuses:
            assert jti in stored


def runs_in(folder: Path) -> bool:
    """Whether a process runs there that is no zombie: backends go on for a moment after their server was killed."""
    return any(process.info["cwd"] == str(folder.resolve()) for process in psutil.process_iter(["cwd"]))


def test_a_server_killed_under_load(site: Site) -> None:
    """No acknowledged claim is lost or succeeds twice. A claim in flight may be stored or not, and is not a 409."""
    token = site.world.service().refresh_token
    with claiming(site) as seen:
        wait_until(lambda: many_claimed(seen))
        os.kill(site.postgres.pid(), signal.SIGKILL)
        wait_until(lambda: not runs_in(site.postgres.data))
        site.start()
        assert site.wait_until_back(token, time.monotonic()) < BACK
        time.sleep(0.5)
    assert_kept(site, seen)


def test_a_link_cut_under_load(site: Site) -> None:
    """Connections break again and again, before, during and after statements: as above."""
    with claiming(site) as seen:
        for _ in range(10):
            time.sleep(0.2)
            site.proxy.cut()
        wait_until(lambda: many_claimed(seen))
    assert_kept(site, seen)


def test_a_link_cut_before_the_statement(site: Site) -> None:
    """503, and nothing was stored."""
    service, jti = site.world.service(), secrets.token_hex(8)
    site.proxy.cut_before_the_next_request()
    unavailable(site.api.claim(service.access_token, jti))
    site.proxy.heal()
    assert site.rows("SELECT 1 FROM jti_claim WHERE jti = %s", jti) == []


@pytest.mark.parametrize("answer_bytes", [0, 1, 20])
def test_a_link_cut_in_the_answer(site: Site, answer_bytes: int) -> None:
    """503 and not 409: the claim is stored, but the service cannot know, and does not repeat the statement."""
    service, jti = site.world.service(), secrets.token_hex(8)
    assert site.api.claim(service.access_token, secrets.token_hex(8)).status == 200
    site.proxy.cut_after(answer_bytes)
    unavailable(site.api.claim(service.access_token, jti))
    site.proxy.heal()
    time.sleep(0.2)
    site.api.claim(service.access_token, jti).refused(409)
    assert len(site.rows("SELECT 1 FROM jti_claim WHERE jti = %s", jti)) == 1


@dataclass
class Person:
    """Somebody with two sessions, a call that changes who has a factor or a session, and what the database holds."""

    site: Site
    user: str
    call: Callable[[], Answer]
    first: tuple[bool, bool, int, int] = field(init=False)

    def __post_init__(self) -> None:
        self.first = self.state()

    def state(self) -> tuple[bool, bool, int, int]:
        """Whether the person's row says that there is a factor, whether there is one, the sessions, the last step."""
        query = (
            "SELECT two_factor_authentication, second_factor.principal_id IS NOT NULL, "
            "(SELECT count(*) FROM refresh_token WHERE refresh_token.principal_id = id), coalesce(last_step, 0) "
            "FROM principal LEFT JOIN second_factor ON second_factor.principal_id = id WHERE id = %s"
        )
        [row] = self.site.rows(query, self.user)
        return row[0], row[1], row[2], row[3]


def with_factor(site: Site) -> tuple[Owner, str]:
    """Somebody with a factor and two sessions, and a challenge."""
    api, name = site.api, site.world.login_service()
    owner = new_owner(api, site.world, password_hash=QUICK_HASH)
    api.answer_challenge(challenge_of(api, owner.id, name), owner.app.code()).ok()
    return owner, challenge_of(api, owner.id, name)


def answers(site: Site) -> Person:
    owner, challenge = with_factor(site)
    return Person(site, owner.id, lambda: site.api.answer_challenge(challenge, owner.app.code(1)))


def recovers(site: Site) -> Person:
    owner, challenge = with_factor(site)
    return Person(site, owner.id, lambda: site.api.answer_challenge(challenge, owner.recovery_code))


def removes(site: Site) -> Person:
    owner, _ = with_factor(site)
    bearer = owner.session.access_token
    return Person(site, owner.id, lambda: site.api.remove_credentials(bearer, PASSWORD, owner.app.code(1)))


def confirms(site: Site) -> Person:
    session = site.world.session(site.world.user(password_hash=QUICK_HASH))
    site.world.session(session.id)
    made = site.api.create_credentials(session.access_token).ok()
    code = Authenticator(made["secret"]).code()
    return Person(site, session.id, lambda: site.api.answer_challenge(made["challengeId"], code, session.access_token))


@pytest.mark.parametrize("in_answer", [False, True], ids=["before", "in the answer"])
@pytest.mark.parametrize(
    ("person", "changed"),
    [
        (answers, lambda first, last: last[:3] == (True, True, 3) and last[3] > first[3]),
        (recovers, lambda _, last: last == (False, False, 1, 0)),
        (removes, lambda _, last: last == (False, False, 1, 0)),
        (confirms, lambda _, last: last[:3] == (True, True, 1) and last[3] > 0),
    ],
)
def test_a_link_cut_at_each_message_of_the_second_factor(
    site: Site,
    person: Callable[[Site], Person],
    changed: Callable[[tuple[bool, bool, int, int], tuple[bool, bool, int, int]], bool],
    in_answer: bool,
) -> None:
    """503 until nothing is left to do; each time all has happened or nothing, and no session lacks the factor."""
    token, refused = site.world.service().refresh_token, 0
    for number in range(1, 20):
        one = person(site)
        site.proxy.cut_at(number, in_answer)
        answer = one.call()
        was_cut = site.proxy.is_cut
        site.proxy.heal()
        site.wait_until_back(token, time.monotonic())
        time.sleep(0.1)  # a statement whose link is cut may still end
        last = one.state()
        assert last == one.first or changed(one.first, last), (number, one.first, last)
        if not was_cut:
            answer.ok()
            assert changed(one.first, last)
            break
        if answer.status == 200:  # only a count or a purge was left
            assert changed(one.first, last)
        else:
            unavailable(answer)
            refused += 1
    assert not was_cut
    assert refused >= 3


@pytest.mark.parametrize("in_answer", [False, True], ids=["before", "in the answer"])
@pytest.mark.parametrize("kind", ["session", "one-time token", "client_credentials", "verify"])
def test_a_link_cut_at_each_message_of_a_door(site: Site, kind: str, in_answer: bool) -> None:
    """503 until nothing is left to do: a live token is never said to be inactive, and a right client never wrong."""
    api, user, service = site.api, site.world.session(), site.world.service()
    one_time = api.request_one_time_token(user.access_token, "files:read").ok()["accessToken"]
    calls: dict[str, Callable[[], Answer]] = {
        "session": lambda: api.introspect(service.client, user.access_token),
        "one-time token": lambda: api.introspect(service.client, one_time),
        "client_credentials": lambda: api.token("client_credentials", service.client),
        "verify": lambda: api.verify(user.access_token),
    }
    refused = 0
    for number in range(1, 20):
        site.proxy.cut_at(number, in_answer)
        answer = calls[kind]()
        was_cut = site.proxy.is_cut
        site.proxy.heal()
        site.wait_until_back(site.world.service().refresh_token, time.monotonic())
        if not was_cut:
            assert answer.ok().get("active", True)
            break
        unavailable(answer)
        assert answer.json["error"] == "temporarily_unavailable"
        refused += 1
    assert refused >= {"session": 2, "one-time token": 3}.get(kind, 1)


def test_a_black_hole(site: Site) -> None:
    """The link accepts and never answers: 503 within 6 seconds, readyz in about one, and it recovers."""
    calls = every_call(site)
    site.proxy.swallow()
    assert seconds_of(lambda: unavailable(site.api.call("GET", "/readyz")), within=1.5) < 1.5
    all_unavailable(calls, LATEST_SILENCE)
    all_unavailable(calls, LATEST_SILENCE)
    site.proxy.cut()
    site.proxy.heal()
    token = site.world.service().refresh_token
    assert site.wait_until_back(token, time.monotonic()) < LATEST


@pytest.mark.parametrize("delay", [0.6, 1.4])
def test_a_link_that_delays_every_answer(site: Site, delay: float) -> None:
    """All statements of a request have one deadline: each call is answered in time, and with nothing but 200 or 503."""
    calls = every_call(site)

    def timed(name: str) -> tuple[int, float]:
        started = time.monotonic()
        status = calls[name]().status
        return status, time.monotonic() - started

    token = site.world.service().refresh_token
    with ThreadPoolExecutor(16) as pool:  # connections for all
        list(pool.map(site.api.refresh, [token] * 64))
    site.proxy.delay(delay)
    for connect in (False, True):
        if connect:
            site.proxy.cut()
        with ThreadPoolExecutor(4) as pool:  # no call waits for a connection that another call has
            taken = dict(zip(calls, pool.map(timed, calls), strict=True))
        for name, (status, seconds) in taken.items():
            assert status in ({200, 404, 503} if not connect else {200, 400, 401, 404, 409, 503}), taken
            assert seconds < LATEST, (name, taken)


def test_several_hosts_that_never_answer(site: Site) -> None:
    """503 in the same time as for one host: connections are opened in the background."""
    port = conninfo_to_dict(site.proxy.url())["port"]
    hosts = ",".join([f"127.0.0.1:{port}"] * 4)
    with serving(site.environment | {"DATABASE_URL": f"postgresql://postgres@{hosts}/postgres"}) as [server]:
        site.proxy.swallow()
        started = time.monotonic()
        unavailable(server.api.refresh("unknown"))
        assert time.monotonic() - started < LATEST


def test_a_silent_host_before_one_that_answers(site: Site) -> None:
    """Connecting takes two seconds. A connection that comes too late for its request serves the next one."""
    token, port = site.world.service().refresh_token, conninfo_to_dict(site.proxy.url())["port"]
    with socket.create_server(("127.0.0.1", 0)) as silent:
        hosts = f"127.0.0.1:{silent.getsockname()[1]},127.0.0.1:{port}"
        with serving(site.environment | {"DATABASE_URL": f"postgresql://postgres@{hosts}/postgres"}) as [server]:
            server.api.refresh(token)
            assert server.api.refresh(token).status == 200


def test_a_table_that_is_locked(site: Site) -> None:
    """Statements time out and the pool runs dry: 503 in time, and calls that need another table go on."""
    service = site.world.service("files:read")
    jtis = [secrets.token_hex(8) for _ in range(30)]
    with psycopg.connect(site.direct) as connection:
        connection.execute("LOCK TABLE jti_claim IN ACCESS EXCLUSIVE MODE")
        calls = {jti: partial(site.api.claim, service.access_token, jti) for jti in jtis}
        all_unavailable(calls, LATEST)
        assert site.api.refresh(service.refresh_token).status == 200
    assert site.rows("SELECT 1 FROM jti_claim WHERE jti = ANY (%s)", jtis) == []
    assert site.api.claim(service.access_token, jtis[0]).status == 200


def test_a_server_that_is_read_only(site: Site) -> None:
    """After a failover old connections only read: writing calls are 503, and nothing was written."""
    calls = every_call(site)
    reading = {rpc.name for rpc in RPCS.values() if rpc.method == "GET"}
    reading |= {"requestOneTimeTokenWithAudience", "twofactor.createCredentials"}
    before = site.rows("SELECT count(*) FROM refresh_token")
    setting = "SELECT current_setting('default_transaction_read_only')"
    with psycopg.connect(site.direct, autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET default_transaction_read_only = on")
        connection.execute("SELECT pg_reload_conf()")
    try:
        wait_until(lambda: site.rows(setting) == [("on",)])  # a new backend has it when all others were told
        all_unavailable({name: call for name, call in calls.items() if name not in reading}, LATEST)
        assert {name: calls[name]().status for name in reading} == dict.fromkeys(reading, 200)
        assert site.rows("SELECT count(*) FROM refresh_token") == before
    finally:
        with psycopg.connect(site.direct, autocommit=True) as connection:
            connection.execute("SET default_transaction_read_only = off")
            connection.execute("ALTER SYSTEM RESET default_transaction_read_only")
            connection.execute("SELECT pg_reload_conf()")
    wait_until(lambda: site.rows(setting) == [("off",)])
    assert calls["logout"]().status == 200


def test_no_connection_left(site: Site) -> None:
    """Another client has all of max_connections: 503 until it closes them, and then successes at once."""
    token = site.world.service().refresh_token
    site.proxy.cut()
    held = []
    with suppress(psycopg.OperationalError):
        while True:
            held.append(psycopg.connect(site.direct))
    for pid in [row[0] for row in held[0].execute("SELECT pid FROM pg_stat_activity WHERE application_name = 'auth'")]:
        held[0].execute("SELECT pg_terminate_backend(%s)", [pid])
        with suppress(psycopg.OperationalError):
            held.append(psycopg.connect(site.direct))
    with suppress(psycopg.OperationalError):
        while True:
            held.append(psycopg.connect(site.direct))
    assert seconds_of(lambda: unavailable(site.api.refresh(token)), LATEST) < LATEST
    for connection in held:
        connection.close()
    assert site.wait_until_back(token, time.monotonic()) < BACK


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a file system to fill")
def test_a_full_disk(site: Site) -> None:
    """Claims are 503 when nothing more can be stored, and none of these is stored; reading goes on."""
    service, folder = site.world.service(), Path(tempfile.mkdtemp(prefix="auth-disk-"))
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        folder.rmdir()
        pytest.skip("this machine lets nobody mount")
    try:
        shutil.chown(folder, "nobody")
        with psycopg.connect(site.direct, autocommit=True) as connection:
            connection.execute(f"CREATE TABLESPACE tiny LOCATION '{folder}'")
            connection.execute("ALTER TABLE jti_claim SET TABLESPACE tiny")
            connection.execute("ALTER INDEX jti_claim_pkey SET TABLESPACE tiny")
        refused, kept = list[str](), list[str]()
        while len(refused) < 20:
            jti = secrets.token_hex(100)
            answer = site.api.claim(service.access_token, jti)
            (kept if answer.status == 200 else refused).append(jti)
            if answer.status != 200:
                unavailable(answer)
        assert site.api.refresh(service.refresh_token).status == 200
        stored = {row[0] for row in site.rows("SELECT jti FROM jti_claim")}
        assert stored.issuperset(kept)
        assert stored.isdisjoint(refused)
        with psycopg.connect(site.direct, autocommit=True) as connection:
            connection.execute("DELETE FROM jti_claim WHERE jti = ANY (%s)", [kept])
            connection.execute("ALTER TABLE jti_claim SET TABLESPACE pg_default")
            connection.execute("ALTER INDEX jti_claim_pkey SET TABLESPACE pg_default")
            connection.execute("DROP TABLESPACE tiny")
        assert site.api.claim(service.access_token, refused[0]).status == 200
    finally:
        subprocess.run(["umount", folder], check=False)
        folder.rmdir()


def test_another_host_takes_over(site: Site) -> None:
    """Of several hosts in DATABASE_URL the one that can write is found; a dead first one costs nothing but time."""
    port = conninfo_to_dict(site.proxy.url())["port"]
    url = f"postgresql://postgres@127.0.0.1:1,127.0.0.1:{port}/postgres?target_session_attrs=read-write"
    with serving(site.environment | {"DATABASE_URL": url}) as [server]:
        assert server.api.refresh(site.world.service().refresh_token).status == 200


def test_a_start_without_a_database(site: Site) -> None:
    """The service starts, is 503, and serves as soon as the database does."""
    token = site.world.service().refresh_token
    site.postgres.stop()
    with serving(site.environment) as [server]:
        unavailable(server.api.refresh(token))
        unavailable(server.api.call("GET", "/readyz"))
        site.start()
        since = time.monotonic()
        while server.api.refresh(token).status != 200:
            assert time.monotonic() - since < BACK
            time.sleep(0.02)
