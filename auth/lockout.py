"""The limits on guessing: every login is counted as failed before its password is looked at, by one statement."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime

from .clients import client_network
from .current import db
from .errors import DatabaseUnavailable, IncorrectCredentials, TooManyAttempts
from .limits import (
    LOCKOUT_MEMORY_SECONDS,
    LOCKOUT_PAIR_FAILURES,
    LOCKOUT_PAIR_SECONDS,
    LOCKOUT_SEVERITY,
    LOCKOUT_SEVERITY_SECONDS,
    LOCKOUT_USERNAME_SECONDS,
    LOCKOUT_WIDE_FAILURES,
)


@contextmanager
def attempt(username: str) -> Iterator[None]:
    """A login at that name by the caller's network. It stays counted only if the block raises that the credentials
    were incorrect. Raises `TooManyAttempts`, and then nothing was counted, and the block did not run.
    """
    network = client_network()
    keys = {
        "pair": _key("pair", network, username),
        "network": _key("network", network),
        "username": _key("username", username),
    }
    attempted_at = _start(keys, username, network)
    try:
        yield
    except IncorrectCredentials:
        raise
    except BaseException:
        _take_back(keys, attempted_at)
        raise
    _take_back(keys, attempted_at)


def _start(keys: dict[str, bytes], username: str, network: str) -> datetime:
    while True:
        verdict = db().one(
            "login_attempt_start",
            **keys,
            principal_id=username,
            network_address=network or None,
            pair_failures=LOCKOUT_PAIR_FAILURES,
            pair_seconds=LOCKOUT_PAIR_SECONDS,
            wide_failures=LOCKOUT_WIDE_FAILURES,
            username_seconds=LOCKOUT_USERNAME_SECONDS,
            most_severe=LOCKOUT_SEVERITY,
            severity_seconds=LOCKOUT_SEVERITY_SECONDS,
            memory_seconds=LOCKOUT_MEMORY_SECONDS,
        )
        if verdict is None:
            db().run("login_limit_insert", keys=list(keys.values()), memory_seconds=LOCKOUT_MEMORY_SECONDS)
        elif verdict["refused"]:
            raise TooManyAttempts(verdict["retry_after_seconds"])
        else:
            attempted_at: datetime = verdict["attempted_at"]
            return attempted_at


def _take_back(keys: dict[str, bytes], attempted_at: datetime) -> None:
    """Best effort: what the login came to is decided by now, and a count that stays only delays a next failure."""
    with suppress(DatabaseUnavailable):
        db().run("login_attempt_return", keys=list(keys.values()), attempted_at=attempted_at)


def _key(*parts: str) -> bytes:
    return hashlib.sha256("\0".join(parts).encode()).digest()
