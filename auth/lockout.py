"""The limits on guessing: a login counts as failed before its password is checked, until it turns out otherwise."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial

from .clients import client_network
from .current import db
from .db import Row
from .errors import DatabaseUnavailable, IncorrectCredentials, TooManyAttempts
from .limits import (
    LOCKOUT_MEMORY_SECONDS,
    LOCKOUT_PAIR_FAILURES,
    LOCKOUT_SEVERITY,
    LOCKOUT_SEVERITY_SECONDS,
    LOCKOUT_USERNAME_WINDOW_SECONDS,
    LOCKOUT_WIDE_FAILURES,
    LOCKOUT_WINDOW_SECONDS,
)


@contextmanager
def attempt(username: str, find: Callable[..., Row]) -> Iterator[Row]:
    """Count a guess at the password of that user while the block runs, and for good if it raises
    `IncorrectCredentials`. Yields the row of `find`.

    `find` runs `login_find` with its keyword arguments: the three keys and the network's address. Raises
    `TooManyAttempts`, with nothing counted, if a limit blocks the login.
    """
    login, counted = _start(username, find)
    try:
        yield login
    except IncorrectCredentials:
        raise
    except BaseException:
        _take_back(counted)
        raise
    _take_back(counted)


def _start(username: str, find: Callable[..., Row]) -> tuple[Row, Row]:
    """The login's row and the attempt that was counted."""
    network = client_network()
    keys = _keys(network, username)
    find = partial(find, **keys, network_address=network or None)
    login = find()
    if login["retry_after_seconds"] is not None:
        raise TooManyAttempts(login["retry_after_seconds"])
    counted = _count(keys, login["is_known_network"])
    if counted["refused"]:  # logins at the same time reached a limit after our read
        _take_back(counted)
        raise TooManyAttempts(find()["retry_after_seconds"] or 1)
    return login, counted


def _keys(network: str, username: str) -> dict[str, bytes]:
    return {
        "pair_key": _digest("pair", network, username),
        "network_key": _digest("network", network),
        "username_key": _digest("username", username),
    }


def _digest(*parts: str) -> bytes:
    """SHA-256, so that a row does not reveal the username, which may be a password in the wrong field."""
    return hashlib.sha256("\0".join(parts).encode()).digest()


def _count(keys: dict[str, bytes], is_known_network: bool) -> Row:
    [counted] = db().many(
        "login_attempt_start",
        **keys,
        is_known_network=is_known_network,
        pair_failures=LOCKOUT_PAIR_FAILURES,
        wide_failures=LOCKOUT_WIDE_FAILURES,
        window_seconds=LOCKOUT_WINDOW_SECONDS,
        username_window_seconds=LOCKOUT_USERNAME_WINDOW_SECONDS,
        most_severe=LOCKOUT_SEVERITY,
        severity_seconds=LOCKOUT_SEVERITY_SECONDS,
        memory_seconds=LOCKOUT_MEMORY_SECONDS,
    )
    return counted


def _take_back(counted: Row) -> None:
    with suppress(DatabaseUnavailable):  # a count that stays only blocks a later login sooner
        db().run("login_attempt_return", keys=counted["keys"], attempted_at=counted["attempted_at"])
