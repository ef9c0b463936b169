"""The limits on guessing: a login is counted as failed before its password is checked."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress

from auth.core import errors, passwords
from auth.core.limits import LOCKOUT
from auth.db import Row
from auth.http.request import Request


@contextmanager
def attempt(request: Request, login: Row, hashes: bool = True) -> Iterator[None]:
    """Count a failed login, and take the count back after the block unless the block raised `IncorrectCredentials`.

    `login`: a row of `login_find` or `password_find`. `hashes`: whether the block computes a hash. Raises
    `TooManyAttempts`, and `LoginBusy` if the queue for hashes is full.
    """
    _refuse_blocked(login)
    with passwords.queue if hashes else nullcontext(), ExitStack() as at_the_end:
        [counted] = request.db.many("login_attempt_start", **login, **LOCKOUT)
        at_the_end.callback(_take_back, request, counted)
        _refuse_blocked(counted)  # parallel logins have reached a limit since `login` was read
        try:
            yield
        except errors.IncorrectCredentials:
            at_the_end.pop_all()
            raise


def _refuse_blocked(row: Row) -> None:
    if row["retry_after_seconds"] is not None:
        raise errors.TooManyAttempts(headers={"Retry-After": str(row["retry_after_seconds"])})


def _take_back(request: Request, counted: Row) -> None:
    with suppress(errors.DatabaseUnavailable):  # if a count is not taken back, a later login is only blocked sooner
        request.db.run("login_attempt_return", keys=counted["keys"], attempted_at=counted["attempted_at"])
