"""The limits on guessing: a login is counted as failed before its password is checked."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from auth.core.errors import DatabaseUnavailable, IncorrectCredentials, TooManyAttempts, UnknownLoginService
from auth.core.limits import LOCKOUT
from auth.db import Row
from auth.http.request import Request


@contextmanager
def attempt(request: Request, username: str, service: str) -> Iterator[Row]:
    """Count a failed login, and take the count back after the block unless that raised `IncorrectCredentials`.

    Yields the row of `login_find`. Raises `UnknownLoginService`, and `TooManyAttempts` where a limit blocks the login;
    nothing is counted then.
    """
    login, counted = _start(request, username, service)
    try:
        yield login
    except IncorrectCredentials:
        raise
    except BaseException:
        _take_back(request, counted)
        raise
    _take_back(request, counted)


def _start(request: Request, username: str, service: str) -> tuple[Row, Row]:
    """The login's row and the attempt that was counted."""
    network = request.client_network
    keys = {
        "pair_key": _digest("pair", network, username),
        "network_key": _digest("network", network),
        "username_key": _digest("username", username),
    }
    names = {"username": username, "service": service, "network_address": network or None}
    login = request.db.one("login_find", **names, **keys)
    if login is None:
        raise UnknownLoginService
    request.record.set_principal(login["id"])
    if login["retry_after_seconds"] is not None:
        raise TooManyAttempts(login["retry_after_seconds"])
    is_known = login["is_known_network"]
    [counted] = request.db.many("login_attempt_start", is_known_network=is_known, **keys, **LOCKOUT)
    if counted["refused"]:  # logins at the same time reached a limit after our read
        _take_back(request, counted)
        login = request.db.one("login_find", **names, **keys)
        raise TooManyAttempts((login and login["retry_after_seconds"]) or 1)
    return login, counted


def _digest(*parts: str) -> bytes:
    """SHA-256, so that a row does not reveal the username, which may be a password in the wrong field."""
    return hashlib.sha256("\0".join(parts).encode()).digest()


def _take_back(request: Request, counted: Row) -> None:
    with suppress(DatabaseUnavailable):  # a count that is not taken back only makes a later login blocked sooner
        request.db.run("login_attempt_return", keys=counted["keys"], attempted_at=counted["attempted_at"])
