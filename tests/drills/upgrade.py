"""An upgrade from the previous release and back, on ten million refresh tokens under load (`make upgrade-drill`)."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from auth.cli.keys import generate_private_key
from auth.core.limits import DELEGATIONS, SESSIONS
from auth.core.passwords import hash_password
from dev.bench import rows
from dev.embedded import EmbeddedPostgres

from ..support.api import Api
from ..support.copies import wait_until
from ..support.releases import previous_code
from ..support.rows import add_delegations, add_sessions
from ..support.servers import BIN, PROJECT, Server
from ..support.world import ORIGIN, PASSWORD
from .load import Load
from .locks import LockWatch

ROWS = int(os.environ.get("DRILL_ROWS", "10_000_000"))
CLAIMS = ROWS // 20
MANY = 100_000  # sessions of one person, and delegations
PERSON = "ada"
PHASE_SECONDS = 8
READER_SECONDS = 5
# ALTER TABLE waits for the table, CREATE INDEX CONCURRENTLY for the transaction that reads.
WAITING = "SELECT 1 FROM pg_locks WHERE NOT granted AND (mode = 'AccessExclusiveLock' OR locktype = 'virtualxid')"
SETTINGS = ["shared_buffers=1GB", "max_wal_size=8GB", "max_connections=200", "wal_level=minimal", "max_wal_senders=0"]


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="auth-upgrade-") as folder:
        yield Path(folder)


@pytest.fixture
def postgres(folder: Path) -> Iterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(folder / "postgres", SETTINGS)
    server.start()
    yield server
    server.remove()


class Release:
    """A release of the service: its code, its programs, and how it is configured."""

    def __init__(self, home: Path, programs: Path, environment: dict[str, str]) -> None:
        self._home, self._programs, self._environment = home, programs, environment

    def serve(self) -> Server:
        return Server(self._environment, home=self._home, programs=self._programs)

    def migrate(self) -> None:
        environment = {"PATH": os.environ["PATH"], **self._environment}
        subprocess.run([self._programs / "flask", "db", "migrate"], cwd=self._home, env=environment, check=True)


def previous_release(folder: Path, environment: dict[str, str]) -> Release:
    """The release that docs/CHANGELOG.md names by its commit, installed in that folder."""
    home, venv = folder / "code", folder / "venv"
    home.mkdir(parents=True)
    subprocess.run(["tar", "-x", "-C", home], input=previous_code(), check=True)
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    install = "-m pip install --quiet --disable-pip-version-check -r requirements.txt"
    subprocess.run([venv / "bin/python", *install.split()], cwd=home, check=True)
    return Release(home, venv / "bin", environment)


def test_an_upgrade_and_the_way_back_fail_no_request(folder: Path, postgres: EmbeddedPostgres) -> None:
    environment = {
        "DATABASE_URL": postgres.url(),
        "JWT_PRIVATE_KEY": generate_private_key("ES256"),
        "TRUSTED_ORIGINS": ORIGIN,
    }
    previous, current = previous_release(folder / "previous", environment), Release(PROJECT, BIN, environment)
    previous.migrate()
    started = time.monotonic()
    rows.fill(postgres.url(), ROWS, hash_password(PASSWORD), CLAIMS)
    add_person(postgres.url())
    print(f"\n{ROWS:,} refresh tokens, {ROWS // 10:,} persons, {CLAIMS:,} claims in {time.monotonic() - started:.0f} s")
    servers = [previous.serve(), previous.serve()]
    for server in servers:
        server.wait_until_up()
    load = Load(servers, ROWS)
    try:
        with LockWatch(postgres.url()) as locks, load.running():
            go_through(load, previous, current, postgres.url())
    finally:
        for server in load.servers:
            server.stop()
    print(
        f"longest wait for a lock {locks.longest_wait:.2f} s, longest time between two looks {locks.longest_gap:.2f} s"
    )
    print("locks that block writes:", *(f"{name} {seconds:.2f} s," for name, seconds in locks.held.items()))
    print(f"failures: {load.failures}")
    assert load.failures == []
    assert locks.longest_wait < 1
    assert locks.longest_held < 1


def go_through(load: Load, previous: Release, current: Release, url: str) -> None:
    time.sleep(PHASE_SECONDS)
    load.report("previous release")
    migrate_beside_a_reader(current, url)
    load.report("previous release, migrating")
    time.sleep(PHASE_SECONDS)
    load.report("previous release, new schema")
    for name, release in (("this release", current), ("previous release again", previous)):
        for old in load.servers:
            load.replace(old, release.serve())
        load.report(f"replaced by {name}")
        time.sleep(PHASE_SECONDS)
        load.report(name)
        if release is current:
            check_person(load.servers[0].api, url)


def add_person(url: str) -> None:
    """A person with 100,000 sessions and as many delegations, which the previous release does not bound."""
    with psycopg.connect(url) as connection:
        connection.execute(
            "INSERT INTO principal (id, role, principal_type, first_names, last_name, password_hash) "
            "VALUES (%s, 'USER', 'password', 'Ada', 'Lovelace', %s)",
            [PERSON, hash_password(PASSWORD)],
        )
    add_sessions(url, PERSON, MANY)
    add_delegations(url, PERSON, "_bench", MANY // 2)
    add_delegations(url, PERSON, "_bench", MANY // 2, "star")


def check_person(api: Api, url: str) -> None:
    """That person is within the bounds, and can log in, change the password and end everything."""
    login = api.login(PERSON, PASSWORD, "app").ok()
    assert api.sessions(login["accessToken"]).ok()["itemsInTotal"] == SESSIONS
    assert api.delegations(login["accessToken"]).ok()["itemsInTotal"] == DELEGATIONS
    started = time.monotonic()
    assert api.change_password(login["accessToken"], PASSWORD, "an altogether different phrase").ok() == {}
    print(f"that person's password changed in {time.monotonic() - started:.2f} s")
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT count(*) FROM refresh_token WHERE principal_id = %s", [PERSON]).fetchone()
    assert row == (1,)


def migrate_beside_a_reader(release: Release, url: str) -> None:
    """Migrate while a transaction that reads every table, as a backup does, goes on for some seconds."""
    started = time.monotonic()
    with ThreadPoolExecutor(1) as pool, psycopg.connect(url) as reader:
        reader.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        for table in ("principal", "refresh_token", "jti_claim", "login_limit", "login_service"):
            reader.execute(f"SELECT FROM {table} LIMIT 1")
        migration = pool.submit(release.migrate)
        wait_until(lambda: reader.execute(WAITING).fetchone())
        time.sleep(READER_SECONDS)
        assert not migration.done()
        reader.rollback()
        migration.result()
    print(f"migrated in {time.monotonic() - started:.0f} s, {READER_SECONDS} s of them beside a long reader")
