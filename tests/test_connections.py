"""The connections of a process: how reads and writes share them, and when they are closed."""

import os
import resource
import secrets
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest

from auth.core.errors import DatabaseUnavailable
from auth.core.limits import CLAIM_DAYS, LOCKOUT, PURGE_ROWS
from auth.core.refresh_tokens import digest
from auth.db import Pool

from .support.copies import wait_until
from .support.timing import TRIES, seconds_of
from .test_faults import BACK, LATEST, Site, healthy, site, unavailable  # noqa: F401

pytestmark = pytest.mark.xdist_group("connections")

CONNECTIONS = 12  # that a server process may have
WRITE_CONNECTIONS = 8  # that wait for commits at most
COMMIT = "SELECT pg_logical_emit_message(true, '', '')"  # the least that a commit has to wait for
WAITING = "SELECT pid, application_name, query FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
LOCKED = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'auth' AND wait_event_type = 'Lock'"
OURS = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'auth'"


@contextmanager
def without_standby(direct: str) -> Iterator[None]:
    """Every commit waits for a synchronous standby that does not exist."""
    with psycopg.connect(direct, autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
        connection.execute("SELECT pg_reload_conf()")
        try:
            _wait_until_a_commit_waits(direct, connection)
            yield
        finally:
            connection.execute("ALTER SYSTEM RESET synchronous_standby_names")
            connection.execute("SELECT pg_reload_conf()")
            connection.execute(COMMIT)  # returns when commits wait no more


def _wait_until_a_commit_waits(direct: str, connection: psycopg.Connection[Any]) -> None:
    """The server takes a while to notice a new setting. Until then, commits do not wait."""

    def commit() -> None:
        with psycopg.connect(direct, autocommit=True, application_name="probe") as probe:
            probe.execute(COMMIT)

    cancel = f"SELECT pg_cancel_backend(pid) FROM ({WAITING}) AS waiting WHERE application_name = 'probe'"
    with ThreadPoolExecutor(1) as pool:
        commits = pool.submit(commit)
        while not connection.execute(cancel).rowcount:
            if commits.done():
                commits = pool.submit(commit)
            time.sleep(0.01)


def test_reads_go_on_while_commits_wait_for_a_standby(site: Site) -> None:  # noqa: F811
    """Claims are 503 in time, refreshes succeed at once, and PostgreSQL is left with no more than our connections."""
    for _ in range(TRIES):  # a busy machine delays some of the tries
        slowest, p90 = reads_beside_commits_that_wait(site)
        if slowest < LATEST and p90 < 0.5:
            break
    assert slowest < LATEST
    assert p90 < 0.5


def reads_beside_commits_that_wait(site: Site) -> tuple[float, float]:  # noqa: F811
    """The seconds of the slowest claim, and those in which nine of ten refreshes were answered."""
    service, stop = site.world.service(), threading.Event()
    claims, refreshes, backends = list[tuple[int, float]](), list[tuple[int, float]](), list[int]()

    def timed(call: str, *arguments: str) -> tuple[int, float]:
        started = time.monotonic()
        return getattr(site.api, call)(*arguments).status, time.monotonic() - started

    def claim() -> None:
        while not stop.is_set():
            claims.append(timed("claim", service.access_token, secrets.token_hex(8)))

    def count_backends(connection: psycopg.Connection) -> None:
        while not stop.is_set():
            backends.extend(connection.execute(OURS).fetchone() or ())
            time.sleep(0.01)

    with psycopg.connect(site.direct, autocommit=True) as connection, ThreadPoolExecutor(25) as pool:
        with without_standby(site.direct):
            pool.submit(count_backends, connection)
            claiming = [pool.submit(claim) for _ in range(24)]
            ends = time.monotonic() + 6
            while time.monotonic() < ends:
                refreshes.append(timed("refresh", service.refresh_token))
                time.sleep(0.02)
            stop.set()
            assert not any(claim.exception() for claim in claiming)
        back = [timed("claim", service.access_token, secrets.token_hex(8)) for _ in range(24)]
    slowest = max(seconds for _, seconds in claims)
    p90 = sorted(seconds for _, seconds in refreshes)[len(refreshes) * 9 // 10]
    print(
        f"{len(claims)} claims, {slowest:.2f} s at most; {len(refreshes)} refreshes, p90 {p90:.3f} s; {max(backends)}"
    )
    assert {status for status, _ in claims} == {503}
    assert {status for status, _ in refreshes} == {200}
    assert max(backends) <= CONNECTIONS
    assert {status for status, _ in back} == {200}
    return slowest, p90


def test_a_commit_that_waits_is_not_left_in_the_database(site: Site) -> None:  # noqa: F811
    """After a 503, its statement does not go on waiting in PostgreSQL."""
    bearer = site.world.service().access_token
    with without_standby(site.direct):
        unavailable(site.api.claim(bearer, secrets.token_hex(8)))
        wait_until(lambda: site.rows(WAITING) == [])


RAISE = """
CREATE OR REPLACE FUNCTION raise() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE EXCEPTION 'as asked' USING ERRCODE = substr(NEW.jti, 7); END
$$;
CREATE OR REPLACE TRIGGER raise BEFORE INSERT ON jti_claim FOR EACH ROW WHEN (NEW.jti LIKE 'raise %')
EXECUTE FUNCTION raise();
"""
CLOSING = ["25006", "57P01", "57P02", "57P03", "08006", "53100", "53200", "53300", "53400", "0A000"]


@pytest.mark.parametrize("sqlstate", [*CLOSING, "57014", "55P03", "40P01"])
def test_after_which_errors_a_connection_is_not_used_again(site: Site, sqlstate: str) -> None:  # noqa: F811
    """It cannot write, the server ends it, or has no resources. After a statement that took too long it is good."""
    bearer, pids = site.world.service().access_token, "SELECT pid FROM pg_stat_activity WHERE application_name = 'auth'"
    with psycopg.connect(site.direct, autocommit=True) as connection:
        connection.execute(RAISE)
    site.api.claim(bearer, secrets.token_hex(8)).ok()
    before = set(site.rows(pids))
    unavailable(site.api.claim(bearer, f"raise {sqlstate}"))
    site.api.claim(bearer, secrets.token_hex(8)).ok()
    if sqlstate in CLOSING:
        wait_until(lambda: before.isdisjoint(site.rows(pids)))
    else:
        assert before.issuperset(site.rows(pids))


def test_a_column_that_changes_its_type(site: Site) -> None:  # noqa: F811
    """503 at worst while the connections with the old type are replaced, never 500, and then as before."""
    token = site.world.session().refresh_token
    alter = "ALTER TABLE refresh_token ALTER COLUMN access_token_lifetime_ms TYPE {}"
    try:
        for kind in ("integer", "bigint"):
            with ThreadPoolExecutor(16) as pool:
                assert {answer.status for answer in pool.map(site.api.refresh, [token] * 200)} == {200}
                with psycopg.connect(site.direct, autocommit=True) as connection:
                    connection.execute(alter.format(kind))
                statuses = Counter(answer.status for answer in pool.map(site.api.refresh, [token] * 200))
                assert set(statuses) <= {200, 503}
                assert statuses[503] <= CONNECTIONS
                assert {site.api.refresh(token).status for _ in range(20)} == {200}
    finally:
        with psycopg.connect(site.direct, autocommit=True) as connection:
            connection.execute(alter.format("bigint"))


def test_readyz_answers_in_time_when_it_must_connect_first(site: Site) -> None:  # noqa: F811
    """The link accepts and never answers, and no connection from before is left."""
    site.proxy.swallow()
    site.proxy.cut()
    for _ in range(4):
        assert seconds_of(lambda: unavailable(site.api.call("GET", "/readyz")), within=1.5) < 1.5
    site.proxy.heal()
    started = time.monotonic()
    while site.api.call("GET", "/readyz").status != 200:
        assert time.monotonic() - started < BACK
        time.sleep(0.02)


def test_calls_that_queue_for_a_connection_are_answered_in_time(site: Site) -> None:  # noqa: F811
    """The wait for a connection, then for a table that is locked, is less than 3 seconds in all; reads go on."""
    service = site.world.service()

    def claim(_: int) -> float:
        started = time.monotonic()
        unavailable(site.api.claim(service.access_token, secrets.token_hex(8)))
        return time.monotonic() - started

    def slowest(pool: ThreadPoolExecutor) -> float:
        claims = [pool.submit(claim, number) for number in range(40)]
        wait_until(lambda: site.rows(LOCKED)[0][0] > 0)
        assert seconds_of(lambda: site.api.refresh(service.refresh_token).ok(), within=1) < 1
        return max(claim.result() for claim in claims)

    with psycopg.connect(site.direct) as connection, ThreadPoolExecutor(40) as pool:
        connection.execute("LOCK TABLE jti_claim IN ACCESS EXCLUSIVE MODE")
        assert any(slowest(pool) < LATEST for _ in range(TRIES))


def test_a_refresh_notes_its_use_without_a_standby(site: Site) -> None:  # noqa: F811
    """Its commit waits for no standby, so refreshes go on, and a locked row is not changed."""
    token = site.world.service().refresh_token
    old = "UPDATE refresh_token SET created_at = now() - interval '1 hour', last_used_at = NULL WHERE token_hash = %s"
    used = "SELECT last_used_at > now() - interval '1 minute' FROM refresh_token WHERE token_hash = %s"
    with psycopg.connect(site.direct, autocommit=True) as connection:
        connection.execute(old, [digest(token)])
        with without_standby(site.direct):
            assert seconds_of(lambda: site.api.refresh(token).ok(), within=1) < 1
        assert connection.execute(used, [digest(token)]).fetchone() == (True,)
        connection.execute(old, [digest(token)])
        with connection.transaction():
            connection.execute("SELECT FROM refresh_token WHERE token_hash = %s FOR UPDATE", [digest(token)])
            assert seconds_of(lambda: site.api.refresh(token).ok(), within=1) < 1
        assert connection.execute(used, [digest(token)]).fetchone() == (None,)


def test_a_statement_that_was_not_sent_whole_gives_its_connection_back(site: Site) -> None:  # noqa: F811
    """One with many parameters does not fit into the buffers of a backend that hangs."""
    database, together = Pool(site.direct), threading.Barrier(WRITE_CONNECTIONS)
    bearer = {"bearer_id": "_", "bearer_uid": None, "bearer_grant_reference": None, "bearer_issued_at": 0}

    def connect(_: int) -> None:
        with database.lease(True):
            together.wait(10)

    def give_up(_: int) -> None:
        with pytest.raises(DatabaseUnavailable):
            database.one("refresh_token_delete_many", token_hashes=[secrets.token_bytes(32)] * 50_000, **bearer)

    def works(_: int) -> bool:
        with suppress(DatabaseUnavailable):
            return database.run("jti_claim_insert", jti="a", **bearer) == 0
        return False

    with ThreadPoolExecutor(WRITE_CONNECTIONS) as pool:
        list(pool.map(connect, range(WRITE_CONNECTIONS)))
        backends = [pid for (pid,) in site.rows("SELECT pid FROM pg_stat_activity WHERE application_name = 'auth'")]
        try:
            for pid in backends:
                os.kill(pid, signal.SIGSTOP)
            list(pool.map(give_up, range(WRITE_CONNECTIONS)))
        finally:
            for pid in backends:
                os.kill(pid, signal.SIGCONT)
        wait_until(lambda: all(pool.map(works, range(100))))
    database.close()


def test_a_login_waits_for_a_standby_only_to_be_counted_and_to_start_a_session(site: Site) -> None:  # noqa: F811
    """Otherwise it could take longer than 3 seconds when the standby goes away in the middle of it."""
    keys, limits = {f"{kind}_key": secrets.token_bytes(32) for kind in ("pair", "network", "username")}, LOCKOUT
    database = Pool(site.direct)
    counted = database.one("login_attempt_start", is_known_network=False, **keys, **limits)
    assert counted is not None
    site.rows(
        "INSERT INTO login_limit (key, failures, expires_at) VALUES (%s, '{}', now()) RETURNING 1",
        secrets.token_bytes(32),
    )
    with without_standby(site.direct):
        returned = database.run("login_attempt_return", keys=counted["keys"], attempted_at=counted["attempted_at"])
        purged = database.one("expired_delete", batch=PURGE_ROWS, claim_days=CLAIM_DAYS)
    database.close()
    assert returned == 3
    assert purged is not None
    assert purged["login_limit"] > 0


def idle_connections(site: Site) -> list[int]:  # noqa: F811
    """Open several connections of the server and return their processes."""
    token = site.world.service().refresh_token
    with ThreadPoolExecutor(16) as pool:
        assert {answer.status for answer in pool.map(site.api.refresh, [token] * 64)} == {200}
    return [pid for (pid,) in site.rows("SELECT pid FROM pg_stat_activity WHERE application_name = 'auth'")]


def terminate(site: Site) -> None:  # noqa: F811
    site.rows("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'auth'")


def restart(site: Site) -> None:  # noqa: F811
    site.postgres.stop()
    site.start()


def cut(site: Site) -> None:  # noqa: F811
    site.proxy.cut()
    time.sleep(0.1)  # until the ends of the connections have arrived


@pytest.mark.parametrize("end", [terminate, restart, cut])
def test_no_request_uses_an_idle_connection_that_the_other_side_has_closed(
    site: Site,  # noqa: F811
    end: Callable[[Site], None],
) -> None:
    """Such as after a restart of PostgreSQL or of a pooler, or by its limit on idle connections."""
    service = site.world.service()
    before = idle_connections(site)
    end(site)
    answers = [site.api.claim(service.access_token, secrets.token_hex(8)).status for _ in range(len(before) + 3)]
    assert set(answers) == {200}


def test_idle_connections_with_high_descriptors(site: Site) -> None:  # noqa: F811
    """`select` takes no descriptor above 1,023. More than 1,024 clients make such connections."""
    database, limits = Pool(site.direct), resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(2048, limits[1]), limits[1]))
    with ExitStack() as held:
        held.callback(resource.setrlimit, resource.RLIMIT_NOFILE, limits)
        while held.enter_context(Path("/dev/null").open()).fileno() < 1024:
            pass
        assert database.one("migration_latest")
        assert database._idle[0].fileno() > 1023
        terminate(site)
        assert database.one("migration_latest")
        database.close()


@contextmanager
def descriptors_left(count: int) -> Iterator[None]:
    """This process can open only that many more files, sockets or polls."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.open("/dev/null", os.O_RDONLY)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + 64, limits[1]))
    held = list[int]()
    try:
        with suppress(OSError):
            while True:
                held.append(os.open("/dev/null", os.O_RDONLY))
        for _ in range(count):
            os.close(held.pop())
        yield
    finally:
        for descriptor in held:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def all_slots_are_free(database: Pool) -> bool:
    together = threading.Barrier(WRITE_CONNECTIONS)

    def transact(_: int) -> bool:
        with database.lease(True) as connection, connection.transaction():
            together.wait(10)
            return bool(connection.execute("SELECT 1").fetchone())

    with ThreadPoolExecutor(WRITE_CONNECTIONS) as pool:
        return all(pool.map(transact, range(WRITE_CONNECTIONS)))


def test_a_write_that_gets_no_connection_takes_no_slot_from_others(site: Site) -> None:  # noqa: F811
    """It waited with a slot for writes, while reads had all connections."""
    database = Pool(site.direct)
    with ExitStack() as reads:
        for _ in range(CONNECTIONS):
            reads.enter_context(database.lease(writes=False))
        with pytest.raises(DatabaseUnavailable):
            database.many("expired_delete", batch=1, claim_days=30)
    assert all_slots_are_free(database)
    database.close()


def test_one_connection_that_hangs_ends_the_idle_ones(site: Site) -> None:  # noqa: F811
    """After a failover that no connection was told of, one request waits in vain, and not one for each connection."""
    database = Pool(site.direct)
    assert all_slots_are_free(database)
    backends = [connection.info.backend_pid for connection in database._idle]
    assert len(backends) > 1
    try:
        for pid in backends:
            os.kill(pid, signal.SIGSTOP)
        with pytest.raises(DatabaseUnavailable), database.lease(False, time.monotonic() + 0.1) as connection:
            connection.execute("SELECT 1")
        wait_until(lambda: not database._idle)
        assert database.one("migration_latest")
    finally:
        for pid in backends:
            os.kill(pid, signal.SIGCONT)
    assert all_slots_are_free(database)
    database.close()


@pytest.mark.parametrize("left", [0, 1, 2])
def test_too_few_descriptors_to_connect(site: Site, left: int) -> None:  # noqa: F811
    """503, and the slots of the connection come back."""
    database = Pool(site.direct)
    with descriptors_left(left):
        for _ in range(CONNECTIONS + 1):
            with suppress(DatabaseUnavailable):
                database.many("expired_delete", batch=1, claim_days=CLAIM_DAYS)
            database.close()
    assert all_slots_are_free(database)
    database.close()


@pytest.mark.parametrize("left", [0, 1, 2])
def test_too_few_descriptors_to_cancel(site: Site, left: int) -> None:  # noqa: F811
    """The statement was given up. The slots of its connection come back."""
    database = Pool(site.direct)

    def give_up(_: int) -> None:
        with database.lease(True) as connection, connection.transaction():
            connection.deadline = time.monotonic() + 0.2
            together.wait(10)
            with pytest.raises(DatabaseUnavailable):
                connection.execute("SELECT pg_sleep(1.2)")
            raise DatabaseUnavailable

    def refused(number: int) -> bool:
        try:
            give_up(number)
        except DatabaseUnavailable:
            return True
        return False

    together = threading.Barrier(WRITE_CONNECTIONS)
    assert all_slots_are_free(database)
    with ThreadPoolExecutor(WRITE_CONNECTIONS) as pool:
        with descriptors_left(left):
            assert all(pool.map(refused, range(WRITE_CONNECTIONS)))
            database._background.shutdown()
        database._background = ThreadPoolExecutor(1)
    assert all_slots_are_free(database)
    database.close()
