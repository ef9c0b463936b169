"""The limits on guessing: a login counts as failed before its password is checked, until it turns out otherwise."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

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

Keys = dict[str, Any]
"""The parameters pair_key, network_key and username_key of the statements: SHA-256, so that no username is kept."""


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
    """The login's row and the attempt that was counted. Starts again if a login at the same time reached a limit."""
    network = client_network()
    keys = _keys(network, username)
    while True:
        login = find(**keys, network_address=network or None)
        if login["retry_after_seconds"] is not None:
            raise TooManyAttempts(login["retry_after_seconds"])
        counted = _count(keys, login["is_known_network"])
        if not counted["refused"]:
            return login, counted
        _take_back(counted)


def _keys(network: str, username: str) -> Keys:
    parts = {"pair": (network, username), "network": (network,), "username": (username,)}
    return {f"{kind}_key": hashlib.sha256("\0".join((kind, *parts[kind])).encode()).digest() for kind in parts}


def _count(keys: Keys, is_known_network: bool) -> Row:
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
