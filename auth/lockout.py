"""The limits on guessing: every login is counted as failed before its password is looked at, by one statement."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Attempt:
    """A login that counts as failed, for as long as nobody takes it back."""

    keys: list[bytes]
    counted_at: datetime


@contextmanager
def attempt(username: str) -> Iterator[Attempt]:
    """A login at that name by the caller's network. It is taken back by the statement that inserts its session, and
    where the block raises anything but that the credentials were incorrect. Raises `TooManyAttempts`, and then nothing
    was counted, and the block did not run.
    """
    network = client_network()
    keys = {
        "pair": _key("pair", network, username),
        "network": _key("network", network),
        "username": _key("username", username),
    }
    counted = Attempt(list(keys.values()), _start(keys, username, network))
    try:
        yield counted
    except IncorrectCredentials:
        raise
    except BaseException:
        _take_back(counted)
        raise


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


def _take_back(counted: Attempt) -> None:
    """Best effort: the login has failed by now, and a count that stays only delays a next one."""
    with suppress(DatabaseUnavailable):
        db().run("login_attempt_return", keys=counted.keys, attempted_at=counted.counted_at)


def _key(*parts: str) -> bytes:
    return hashlib.sha256("\0".join(parts).encode()).digest()
