"""A refused login costs the database one read: an attacker that is blocked cannot fill a table or hold a lock."""

import secrets
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from flask import Flask

from auth.core import passwords, refresh_tokens
from auth.db import Database

from .support.api import Answer, Api, any_address, send_to_app
from .support.lockouts import FAILURES, block, fail, limit_key, locked
from .support.statements import noted
from .support.world import PASSWORD, World

Login = Callable[[], object]
Call = Callable[[], Answer]
NEW = "seventeen violet kettles"


@pytest.fixture
def connection(database_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield connection


def blocked_pair(app: Flask, database_url: str, username: str, service: str) -> Login:
    api = Api(send_to_app(app, any_address()))
    fail(api, username, service, FAILURES)
    return lambda: locked(api.login(username, PASSWORD, service))


def blocked_network(app: Flask, database_url: str, username: str, service: str) -> Login:
    """Each refused login has a username that has no row yet."""
    address = any_address()
    api = Api(send_to_app(app, address))
    block(database_url, limit_key("network", f"{address}/32"))
    return lambda: locked(api.login(secrets.token_hex(8), PASSWORD, service))


def blocked_username(app: Flask, database_url: str, username: str, service: str) -> Login:
    """Each refused login comes from a network that has no row yet."""
    block(database_url, limit_key("username", username))
    return lambda: locked(Api(send_to_app(app, any_address())).login(username, PASSWORD, service))


@pytest.fixture(params=[blocked_pair, blocked_network, blocked_username])
def refused_login(request: pytest.FixtureRequest, app: Flask, world: World, database_url: str) -> Login:
    """Makes a login that must be 429."""
    login: Login = request.param(app, database_url, world.user(), world.login_service())
    return login


def test_a_429_writes_no_row(refused_login: Login, connection: psycopg.Connection[Any]) -> None:
    rows = "SELECT key, ctid, xmin, xmax FROM login_limit ORDER BY key"  # xmax changes where a row is locked
    before = connection.execute(rows).fetchall()
    for _ in range(50):
        refused_login()
    assert connection.execute(rows).fetchall() == before


def test_a_429_waits_for_no_lock(refused_login: Login, connection: psycopg.Connection[Any]) -> None:
    with connection.transaction():
        connection.execute("LOCK TABLE login_limit, principal, refresh_token IN EXCLUSIVE MODE")  # allows only reads
        for _ in range(5):
            refused_login()


def test_a_429_is_one_statement(refused_login: Login, monkeypatch: pytest.MonkeyPatch) -> None:
    statements = noted(monkeypatch)
    refused_login()
    assert len(statements) == 1, statements


def test_a_429_needs_no_place_in_the_queue(refused_login: Login, full_queue: None) -> None:
    refused_login()


@pytest.fixture
def full_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "queue", passwords.Places(0))


def log_in(api: Api, app: Flask, world: World) -> Call:
    """Each login has a username and a network that have no row yet."""
    service = world.login_service()
    return lambda: Api(send_to_app(app, any_address())).login(secrets.token_hex(8), "wrong", service)


def change_password(api: Api, app: Flask, world: World) -> Call:
    user = world.session()
    return lambda: api.change_password(user.access_token, "wrong", NEW)


def reset_password(api: Api, app: Flask, world: World) -> Call:
    user, token = world.user(), secrets.token_hex(16)
    world.db.one("password_reset_start", id=user, reset_token_hash=refresh_tokens.digest(token), valid_minutes=5)
    return lambda: api.reset_password(token, NEW)


@pytest.mark.parametrize(
    ("prepare", "statements"),
    [
        (log_in, ["login_find"]),
        (change_password, ["password_find"]),
        (reset_password, ["password_reset_find"]),
    ],
)
def test_a_call_that_finds_the_queue_full_writes_nothing(
    api: Api,
    app: Flask,
    world: World,
    connection: psycopg.Connection[Any],
    monkeypatch: pytest.MonkeyPatch,
    prepare: Callable[[Api, Flask, World], Call],
    statements: list[str],
) -> None:
    """It only reads, and waits for no lock. A storm of logins would otherwise fill the table without a single hash."""
    rows = "SELECT key, ctid, xmin, xmax FROM login_limit ORDER BY key"
    before, call = connection.execute(rows).fetchall(), prepare(api, app, world)
    with monkeypatch.context() as patch, connection.transaction():
        patch.setattr(passwords, "queue", passwords.Places(0))
        ran = noted(patch)
        connection.execute("LOCK TABLE login_limit, principal, refresh_token IN EXCLUSIVE MODE")  # allows only reads
        for _ in range(20):
            call().refused(503, "LOGIN_BUSY")
        assert ran == statements * 20
    assert connection.execute(rows).fetchall() == before
    assert call().status in (200, 401)


def test_a_login_that_was_blocked_after_its_read_counts_nothing(
    refused_login: Login, connection: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Logins at the same time reached the limit between the read and the count."""
    one, reads = Database.one, list[str]()

    def outdated(db: Database, name: str, /, **parameters: object) -> object:
        reads.append(name)
        return (one(db, name, **parameters) or {}) | ({"retry_after_seconds": None} if len(reads) == 1 else {})

    rows = """
        SELECT key, failures, severity, cooled_down_at, blocked_until
        FROM login_limit WHERE failures <> '{}' ORDER BY key
    """
    before = connection.execute(rows).fetchall()
    monkeypatch.setattr(Database, "one", outdated)
    refused_login()
    assert reads == ["login_find"]
    assert connection.execute(rows).fetchall() == before
