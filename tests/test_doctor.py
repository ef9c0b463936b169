"""flask doctor, on deployments that are sound and that are not."""

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from auth import VERSION
from auth.cli.keys import generate_private_key
from auth.core.limits import LEEWAY_SECONDS

from .support.command_line import CommandLine
from .support.copies import wait_until
from .support.databases import NewDatabase
from .support.pgbouncer import MISSING, PROGRAM, pgbouncer
from .support.servers import free_port
from .support.world import PASSWORD, QUICK_HASH

CHECKS = {
    "version", "environment", "keys", "cookies", "database", "clocks", "migrations", "password hashes", "sequence",
    "settings", "connections", "second factors",
}  # fmt: skip

Environment = dict[str, str]
Examine = Callable[..., dict[str, tuple[bool, str]]]


@pytest.fixture
def examine(environment: Environment) -> Examine:
    def run(sound: bool, **changes: str) -> dict[str, tuple[bool, str]]:
        """What each check found, where the deployment is called sound or not as a whole."""
        finished = CommandLine({**environment, **changes}).run("doctor", "--json")
        assert finished.returncode == (0 if sound else 1), finished.stderr
        findings: list[dict[str, Any]] = json.loads(finished.stdout)
        assert all(set(finding) == {"check", "ok", "message"} for finding in findings)
        return {finding["check"]: (finding["ok"], finding["message"]) for finding in findings}

    return run


def test_a_sound_deployment(examine: Examine, environment: Environment) -> None:
    found = examine(sound=True)
    assert set(found) == CHECKS
    assert all(ok for ok, _ in found.values())
    assert found["version"][1] == VERSION
    assert found["connections"][1].startswith("2 processes take up to 24 connections")
    printed = CommandLine(environment).run("doctor")
    assert printed.returncode == 0
    assert len(printed.stdout.splitlines()) == len(CHECKS)
    assert all(line.startswith("ok") for line in printed.stdout.splitlines())
    secret = environment["JWT_PRIVATE_KEY"].splitlines()[1]
    assert secret not in printed.stdout + printed.stderr


@pytest.mark.parametrize(
    "web", [{"TRUSTED_ORIGINS": "https://a"}, {"TRUSTED_ORIGINS": "http://a", "COOKIE_SECURE": "0"}]
)
def test_the_origins_of_apps_suit_any_cookie(examine: Examine, web: Environment) -> None:
    examine(
        sound=True, **web | {"TRUSTED_ORIGINS": f"capacitor://localhost,{web['TRUSTED_ORIGINS']},httpx://localhost"}
    )


@pytest.mark.parametrize(
    ("changes", "check", "told"),
    [
        ({"TRUSTED_ORIGINS": "http://a.example.org"}, "cookies", "http://a.example.org"),
        ({"COOKIE_SECURE": "0", "TRUSTED_ORIGINS": "https://a.example.org"}, "cookies", "https://a.example.org"),
        ({"WEB_CONCURRENCY": "1000"}, "connections", "12000"),
        ({"JWT_PRIVATE_KEY": ""}, "keys", "is not set"),
        ({"JWT_PRIVATE_KEY": "nonsense"}, "keys", "PEM"),
        ({"JWT_PUBLIC_KEYS": generate_private_key("ES256")}, "keys", "private key does not belong"),
        ({"TRUSTED_PROXIES": "many"}, "environment", "TRUSTED_PROXIES"),
        ({"WEB_CONCURRENCY": "²"}, "environment", "WEB_CONCURRENCY"),
    ],
    ids=["http", "https", "pool", "no key", "bad key", "private key", "proxies", "processes"],
)
def test_a_mistake_fails_its_check(examine: Examine, changes: Environment, check: str, told: str) -> None:
    ok, message = examine(sound=False, **changes)[check]
    assert not ok
    assert told in message


def test_a_database_that_is_away(examine: Examine) -> None:
    found = examine(sound=False, DATABASE_URL=f"postgresql://nobody@127.0.0.1:{free_port()}/nothing")
    assert found["database"][0] is False
    assert "refused" in found["database"][1]
    assert found["keys"][0]


def test_a_database_that_is_not_migrated(examine: Examine, server_url: str) -> None:
    with NewDatabase(server_url) as url:
        ok, message = examine(sound=False, DATABASE_URL=url)["migrations"]
        assert not ok
        assert "0001_" in message


def usable(url: str) -> bool:
    with suppress(psycopg.Error), psycopg.connect(url) as connection:
        return connection.execute("SELECT 1").rowcount == 1
    return False


@contextmanager
def altered(server_url: str, setting: str) -> Iterator[str]:
    """The URL of a migrated database with that setting."""
    with NewDatabase(server_url) as url:
        CommandLine({"DATABASE_URL": url}).json("db", "migrate")
        name = conninfo_to_dict(url)["dbname"]
        with psycopg.connect(server_url, autocommit=True) as connection:
            connection.execute(f'ALTER DATABASE "{name}" {setting}')
            # A pool in between would go on with sessions from before.
            connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
        wait_until(lambda: usable(url))  # a pool in between may still lend a session that has ended
        yield url


def test_a_database_that_takes_no_writes(examine: Examine, server_url: str) -> None:
    with altered(server_url, "SET default_transaction_read_only = on") as url:
        ok, message = examine(sound=False, DATABASE_URL=url)["database"]
        assert not ok
        assert "no writes" in message


def test_a_role_with_few_connections(examine: Examine, server_url: str) -> None:
    with altered(server_url, "CONNECTION LIMIT 23") as url:
        assert not examine(sound=False, DATABASE_URL=url)["connections"][0]
        assert examine(sound=True, DATABASE_URL=url, WEB_CONCURRENCY="1")["connections"][0]


def test_a_setting_that_a_connection_can_set_is_no_fault(examine: Examine, postgres_url: str) -> None:
    with altered(postgres_url, "SET default_transaction_isolation = serializable") as url:
        assert examine(sound=True, DATABASE_URL=url)["settings"][0]


@pytest.mark.skipif(PROGRAM is None, reason=MISSING)
@pytest.mark.parametrize(
    "setting",
    [
        "default_transaction_isolation = serializable",
        "statement_timeout = 1000",
        "idle_in_transaction_session_timeout = 100",
        "synchronous_commit = off",
        "session_replication_role = replica",
    ],
)
def test_a_setting_that_nothing_mends_behind_pgbouncer(examine: Examine, postgres_url: str, setting: str) -> None:
    with altered(postgres_url, f"SET {setting}") as direct_url, pgbouncer(direct_url) as url:
        found = examine(sound=False, DATABASE_URL=url)
    assert "settings" in found, found
    assert not found["settings"][0]
    assert setting in found["settings"][1]


def test_a_sequence_that_is_behind(examine: Examine, server_url: str) -> None:
    """A logical restore can cause it. The commands name the sequence; `doctor` prints the statement that repairs it."""
    person = (
        "users",
        "create",
        "ada",
        "--role",
        "USER",
        "--first-names",
        "Ada",
        "--last-name",
        "L",
        "--password-stdin",
    )
    line = json.dumps({"id": "ada", "role": "USER", "firstNames": "A", "lastName": "L", "passwordHash": QUICK_HASH})
    with NewDatabase(server_url) as url:
        flask = CommandLine({"DATABASE_URL": url})
        flask.json("db", "migrate")
        for name in ("_one", "_two", "_three"):
            flask.json("services", "create", name)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("SELECT setval('principal_uid_seq', 1)")
            ok, found = examine(sound=False, DATABASE_URL=url)["sequence"]
            assert not ok
            for command, stdin in (
                (("services", "create", "_four"), ""),
                (("users", "import", "-"), line),
                (person, PASSWORD),
            ):
                connection.execute("SELECT setval('principal_uid_seq', 1)")  # each attempt takes a number
                told = flask.fails(*command, stdin=stdin)
                assert "principal_uid_seq is behind. `flask doctor` prints" in told
            connection.execute(found.partition(": ")[2])
        flask.json("services", "create", "_four")
        assert examine(sound=True, DATABASE_URL=url)["sequence"][0]


@pytest.mark.parametrize(
    ("seconds", "ok"), [(-LEEWAY_SECONDS - 0.5, False), (-LEEWAY_SECONDS - 3, False), (LEEWAY_SECONDS - 0.5, True)]
)
def test_clocks_may_differ(examine: Examine, monkeypatch: pytest.MonkeyPatch, seconds: float, ok: bool) -> None:
    """Python's clock is put back or on, and stands still: so a slow machine takes nothing off the difference."""
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + seconds)
    found, message = examine(sound=ok)["clocks"]
    assert found is ok
    [told] = re.findall(r"([0-9.]+) s apart", message)
    assert ok or -seconds <= float(told)
