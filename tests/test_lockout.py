"""The limits on guessing. To let time pass, these tests move the stored times into the past."""

import secrets
import time
from collections.abc import Callable

import psycopg
import pytest
from flask import Flask

from auth.core import passwords
from auth.core.errors import LoginBusy
from auth.core.limits import CLAIM_DAYS, ID_CHARACTERS, LOCKOUT, PURGE_ROWS

from .support.api import Api, any_address, send_to_app
from .support.lockouts import (
    FAILURES,
    MOST_SEVERE,
    WIDE_FAILURES,
    WINDOW,
    below_the_limit_of_a_pair,
    block,
    cooldown,
    fail,
    leave,
    limit_key,
    locked,
    pair_key,
    pass_time,
)
from .support.world import PASSWORD, QUICK_HASH, World

At = Callable[..., Api]


@pytest.fixture
def at(app: Flask) -> At:
    """A client at the given address, or at an address that no other test has."""
    return lambda address=None: Api(send_to_app(app, address or any_address()))


@pytest.mark.parametrize("exists", [True, False])
def test_the_last_allowed_failure_starts_a_cooldown(
    at: At, world: World, service: str, database_url: str, exists: bool
) -> None:
    username, address = world.user() if exists else secrets.token_hex(8), any_address()
    api, key = at(address), pair_key(address, username)
    fail(api, username, service, FAILURES - 1)
    started = time.monotonic()
    fail(api, username, service, 1)
    left = locked(api.login(username, PASSWORD, service))
    assert cooldown(1) - (time.monotonic() - started) <= left <= cooldown(1)
    leave(database_url, 3, key)
    assert locked(api.login(username, "wrong", service)) <= 3
    pass_time(database_url, 3.1, key)
    fail(api, username, service, 1)


def test_no_password_is_verified_in_a_cooldown(
    at: At, world: World, service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    api, user = at(), world.user()
    fail(api, user, service, FAILURES)

    def verify(*_: object) -> tuple[bool, None]:
        raise AssertionError("a hash was computed")

    monkeypatch.setattr(passwords, "verify", verify)
    locked(api.login(user, PASSWORD, service))


def test_cooldowns_grow_and_are_forgotten(at: At, world: World, service: str, database_url: str) -> None:
    user, address = world.user(), any_address()
    api, key = at(address), pair_key(address, user)
    for severity in (*range(1, MOST_SEVERE + 1), MOST_SEVERE):
        seconds = cooldown(severity)
        fail(api, user, service, FAILURES - 1)
        started = time.monotonic()
        fail(api, user, service, 1)
        left = locked(api.login(user, PASSWORD, service))
        assert seconds - (time.monotonic() - started) <= left <= seconds
        pass_time(database_url, seconds + 0.1, key)
    remembered = LOCKOUT["severity_seconds"]
    pass_time(database_url, remembered - 10, key)
    fail(api, user, service, FAILURES)
    assert locked(api.login(user, PASSWORD, service)) > cooldown(MOST_SEVERE - 1)
    pass_time(database_url, cooldown(MOST_SEVERE) + remembered + 1, key)
    fail(api, user, service, FAILURES)
    assert locked(api.login(user, PASSWORD, service)) <= cooldown(1)


def test_a_refused_attempt_neither_counts_nor_prolongs(at: At, world: World, service: str, database_url: str) -> None:
    user, address = world.user(), any_address()
    api, key = at(address), pair_key(address, user)
    fail(api, user, service, FAILURES)
    leave(database_url, 4, key)
    for _ in range(10):
        assert locked(api.login(user, "wrong", service)) <= 4
    pass_time(database_url, 4.1, key)
    fail(api, user, service, FAILURES - 1)
    assert api.login(user, PASSWORD, service).status == 200


def test_failures_count_for_a_time(at: At, world: World, service: str, database_url: str) -> None:
    user, address = world.user(), any_address()
    api, started = at(address), time.monotonic()
    fail(api, user, service, FAILURES - 1)
    passed = WINDOW - 5 - (time.monotonic() - started)  # a slow machine would let more time pass
    pass_time(database_url, passed, pair_key(address, user))
    fail(api, user, service, 1)
    locked(api.login(user, PASSWORD, service))
    user = world.user()
    fail(api, user, service, FAILURES - 1)
    pass_time(database_url, WINDOW + 1, pair_key(address, user))
    fail(api, user, service, FAILURES - 1)
    assert api.login(user, PASSWORD, service).status == 200


def test_a_success_takes_only_its_own_count_back(at: At, world: World, service: str) -> None:
    api, user = at(), world.user()
    fail(api, user, service, FAILURES - 1)
    for _ in range(6):
        assert api.login(user, PASSWORD, service).status == 200
    fail(api, user, service, 1)
    locked(api.login(user, PASSWORD, service))


def test_a_400_does_not_count(at: At, world: World, service: str) -> None:
    api, user = at(), world.user()
    for _ in range(10):
        api.login(user, "wrong", "no such service").refused(400)
        api.login(user, "", service).refused(400)
        api.login(user, "wrong", service, Origin="https://evil.example").refused(400)
    fail(api, user, service, FAILURES - 1)
    assert api.login(user, PASSWORD, service).status == 200


def test_a_503_does_not_count(at: At, world: World, service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    api, user = at(), world.user()
    with monkeypatch.context() as patch:
        patch.setattr(passwords, "verify", raising(LoginBusy))
        for _ in range(10):
            assert api.login(user, PASSWORD, service).refused(503, "LOGIN_BUSY").header("Retry-After") == "1"
    fail(api, user, service, FAILURES - 1)
    assert api.login(user, PASSWORD, service).status == 200


def test_a_count_that_is_taken_back_leaves_no_cooldown_behind(
    at: At, world: World, service: str, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the cooldown that the attempt started nor its severity."""
    user, address = world.user(), any_address()
    api, key = at(address), pair_key(address, user)
    fail(api, user, service, FAILURES)
    pass_time(database_url, cooldown(1) + 0.1, key)
    fail(api, user, service, FAILURES - 1)
    for _ in range(3):
        assert api.login(user, PASSWORD, service).status == 200
    with monkeypatch.context() as patch:
        patch.setattr(passwords, "verify", raising(LoginBusy))
        for _ in range(3):
            api.login(user, PASSWORD, service).refused(503)
    fail(api, user, service, 1)
    assert cooldown(1) < locked(api.login(user, PASSWORD, service)) <= cooldown(2)


def raising(error: type[Exception]) -> Callable[..., None]:
    def raise_error(*_: object) -> None:
        raise error

    return raise_error


def test_a_user_who_is_disabled_during_the_hash_counts_as_a_failure(
    at: At, world: World, service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer must not reveal that the password was right."""
    api, user = at(), world.user()

    def disabling(*_: object) -> tuple[bool, None]:
        world.db.one("principal_disable", id=user)
        return True, None

    fail(api, user, service, FAILURES - 1)
    with monkeypatch.context() as patch:
        patch.setattr(passwords, "verify", disabling)
        api.login(user, PASSWORD, service).refused(401, "INCORRECT_CREDENTIALS")
    locked(api.login(user, PASSWORD, service))


def test_a_stranger_does_not_lock_out_the_owner(at: At, world: World, service: str) -> None:
    user, stranger, owner = world.user(), at(), at()
    fail(stranger, user, service, FAILURES)
    locked(stranger.login(user, PASSWORD, service))
    assert owner.login(user, PASSWORD, service).status == 200
    assert stranger.login(world.user(), PASSWORD, service).status == 200


@pytest.mark.parametrize(
    ("first", "second", "together"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:3::1", "2001:db8:1:4::1", False),
        ("198.51.100.7", "::ffff:198.51.100.7", True),
        ("198.51.100.8", "198.51.100.9", False),
        ("fe80::1%eth0", "fe80::2", True),
    ],
)
def test_a_network_is_an_address_or_a_64(
    at: At, world: World, service: str, first: str, second: str, together: bool
) -> None:
    user = world.user()
    fail(at(first), user, service, FAILURES)
    answer = at(second).login(user, PASSWORD, service)
    assert answer.status == (429 if together else 200)


def test_a_network_has_a_limit(at: At, world: World, service: str, database_url: str) -> None:
    address = any_address()
    api, key = at(address), limit_key("network", f"{address}/32")
    started = time.monotonic()
    for failures in below_the_limit_of_a_pair(WIDE_FAILURES):
        fail(api, world.user(password_hash=QUICK_HASH), service, failures)
    user = world.user()
    left = locked(api.login(user, PASSWORD, service))
    assert WINDOW - (time.monotonic() - started) <= left <= WINDOW
    assert at().login(user, PASSWORD, service).status == 200
    pass_time(database_url, WINDOW + 1, key)
    assert api.login(user, PASSWORD, service).status == 200


def test_a_name_has_a_limit_except_from_a_known_network(at: At, world: World, service: str, database_url: str) -> None:
    user, home = world.user(password_hash=QUICK_HASH), any_address()
    world.session(user, ip_address=home)
    for failures in below_the_limit_of_a_pair(WIDE_FAILURES):
        fail(at(), user, service, failures)
    seconds = LOCKOUT["username_window_seconds"]
    assert seconds - 100 <= locked(at().login(user, PASSWORD, service)) <= seconds
    owner = at(home)
    token = owner.login(user, PASSWORD, service).ok()["accessToken"]
    fail(owner, user, service, 1)
    owner.invalidate_sessions(token).ok()
    locked(owner.login(user, PASSWORD, service))
    pass_time(database_url, seconds + 1, limit_key("username", user))
    assert at().login(user, PASSWORD, service).status == 200


def test_an_expired_session_makes_no_network_known(at: At, world: World, service: str, database_url: str) -> None:
    user, home = world.user(), any_address()
    world.session(user, ip_address=home, ttl=-1)
    block(database_url, limit_key("username", user))
    locked(at(home).login(user, PASSWORD, service))
    world.session(user, ip_address=home)
    assert at(home).login(user, PASSWORD, service).status == 200


def test_a_name_that_nobody_has_is_limited_alike(at: At, service: str) -> None:
    username = secrets.token_hex(8)
    for failures in below_the_limit_of_a_pair(WIDE_FAILURES):
        fail(at(), username, service, failures)
    locked(at().login(username, PASSWORD, service))


def test_a_row_is_no_larger_for_a_longer_name(at: At, world: World, service: str, database_url: str) -> None:
    name = "é" * ID_CHARACTERS
    api = at()
    fail(api, name, service, FAILURES)
    locked(api.login(name, "wrong", service))
    with psycopg.connect(database_url) as connection:
        row = connection.execute(
            "SELECT max(octet_length(key)), max(cardinality(failures)) FROM login_limit"
        ).fetchone()
    assert row is not None
    assert row[0] == 32
    assert row[1] <= WIDE_FAILURES


@pytest.mark.parametrize(
    ("kind", "failures", "seconds"), [("pair", FAILURES, cooldown(1)), ("network", WIDE_FAILURES, WINDOW)]
)
def test_failures_that_the_previous_release_counted_count(
    at: At, service: str, database_url: str, kind: str, failures: int, seconds: int
) -> None:
    """It does not write blocked_until. The first login after them is the last that is not blocked."""
    username, address = secrets.token_hex(8), any_address()
    key = pair_key(address, username) if kind == "pair" else limit_key("network", f"{address}/32")
    with psycopg.connect(database_url) as connection:
        insert = "INSERT INTO login_limit (key, failures, expires_at) VALUES (%s, array_fill(now(), ARRAY[%s]), now())"
        connection.execute(insert, [key, failures])
    fail(at(address), username, service, 1)
    assert seconds - 5 < locked(at(address).login(username, "wrong", service)) <= seconds


def test_a_name_typed_into_the_login_is_not_kept(at: At, service: str, database_url: str) -> None:
    typed = f"a-password-{secrets.token_hex(8)}"
    at().login(typed, "x", service).refused(401)
    from .test_servers import dump

    content = dump(database_url)
    assert typed not in content
    assert typed.encode().hex() not in content


def test_expired_limits_are_purged(world: World, database_url: str) -> None:
    with psycopg.connect(database_url, prepare_threshold=None) as connection:  # for PgBouncer
        insert = "INSERT INTO login_limit (key, expires_at) VALUES (%s, now())"
        connection.cursor().executemany(insert, [[secrets.token_bytes(32)] for _ in range(3)])
    deleted = 0
    while purged := world.db.one("expired_delete", batch=PURGE_ROWS, claim_days=CLAIM_DAYS):
        deleted += purged["login_limit"]
        if not any(purged.values()):
            break
    assert deleted >= 3
    assert LOCKOUT["memory_seconds"] >= cooldown(MOST_SEVERE) + LOCKOUT["severity_seconds"]
