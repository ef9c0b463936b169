"""The limits on guessing: a login is counted as failed before its password is checked."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial

from auth.core import errors, passwords
from auth.core.limits import LOCKOUT
from auth.core.refresh_tokens import digest
from auth.db import Row
from auth.http.request import Request


@contextmanager
def attempt(
    request: Request, username: str, statement: str, missing: type[errors.ApiError], **parameters: object
) -> Iterator[Row]:
    """Count a failed login, and take the count back after the block unless the block raised `IncorrectCredentials`.

    Yields the row of a statement like `login_find`, with a place in the queue for hashing. Without that place nothing
    is counted. Raises `missing` without a row, `TooManyAttempts` and `LoginBusy`.
    """
    network = request.client_network
    parts = {"pair": (network, username), "network": (network,), "username": (username,)}
    # Not the username itself, which may be a password in the wrong field.
    keys = {f"{kind}_key": digest("\0".join((kind, *texts))) for kind, texts in parts.items()}
    find = partial(request.db.one, statement, username=username, network_address=network or None, **keys, **parameters)
    login = find()
    if login is None:
        raise missing
    _refuse_blocked(request, login)
    with passwords.queue, ExitStack() as at_the_end:
        at_the_end.callback(_take_back, request, _count(request, keys, login, find))
        try:
            yield login
        except errors.IncorrectCredentials:
            at_the_end.pop_all()
            raise


def _refuse_blocked(request: Request, login: Row) -> None:
    if request.record.principal is None:
        request.record.set_principal(login["id"])
    if login["retry_after_seconds"] is not None:
        raise errors.TooManyAttempts(login["retry_after_seconds"])


def _count(request: Request, keys: dict[str, bytes], login: Row, find: Callable[[], Row | None]) -> Row:
    parameters = {"is_known_network": login["is_known_network"], **keys, **LOCKOUT}
    [counted] = request.db.many("login_attempt_start", **parameters)
    if counted["refused"]:  # logins at the same time reached a limit after our read
        _take_back(request, counted)
        blocked = find()
        raise errors.TooManyAttempts((blocked and blocked["retry_after_seconds"]) or 1)
    return counted


def _take_back(request: Request, counted: Row) -> None:
    with suppress(errors.DatabaseUnavailable):  # if a count is not taken back, a later login is only blocked sooner
        request.db.run("login_attempt_return", keys=counted["keys"], attempted_at=counted["attempted_at"])
