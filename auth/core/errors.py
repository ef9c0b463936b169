"""Every error answer. The docstring of a class is the `why` that the client gets, and its name the `errorCode`."""

import re
from collections.abc import Mapping


class ApiError(Exception):
    status: int
    error_code: str
    headers: Mapping[str, str] = {}
    fields: Mapping[str, str] = {}  # further members of the JSON body

    def __init__(self, why: str | None = None, *, cause: str | None = None, headers: Mapping[str, str] = {}) -> None:
        self.why = why or type(self).__doc__ or ""
        self.cause = cause  # for the log and the commands; a client never gets it
        self.headers = headers or self.headers

    def __init_subclass__(cls, status: int | None = None) -> None:
        cls.status = status or cls.status
        cls.error_code = re.sub("(?<!^)([A-Z])", r"_\1", cls.__name__).upper()


class BadRequest(ApiError, status=400):
    """The request could not be understood."""


class InvalidRequest(BadRequest):
    """The request is not valid for this call."""


class UnreadableBody(BadRequest):
    """The body of the request could not be read."""


class UnknownLoginService(BadRequest):
    """There is no such login service."""


class UntrustedOrigin(BadRequest):
    """This call may not be made from that origin."""


class MissingCsrfToken(BadRequest):
    """The X-CSRFToken header is missing."""


class MissingRefreshCookie(BadRequest):
    """The refresh token cookie is missing."""


class AmbiguousRefreshCookie(BadRequest):
    """The request carries two different refresh token cookies."""


class MalformedScope(BadRequest):
    """A security scope is malformed."""


class InvalidExpiresIn(BadRequest):
    """expiresIn must be between 1 and 86,400,000 milliseconds."""


class ChainTooLong(BadRequest):
    """This token was extended by 8 services already, and no other service may extend it."""


class TooManyDelegations(BadRequest):
    """This service has 100 delegations of that user, and can get no further one before one of them ends."""


class PasswordTooShort(BadRequest):
    """The password is too short. Use at least 15 characters."""


class PasswordTooLong(BadRequest):
    """The password is too long. Use at most 1,024 bytes."""


class PasswordTooEasy(BadRequest):
    """The password is too easy to guess. Use several unrelated words, none of them from your name, e-mail or id."""


class Unauthorized(ApiError, status=401):
    headers = {"WWW-Authenticate": "Bearer"}


class InvalidToken(Unauthorized):
    """Invalid token"""


class IncorrectCredentials(Unauthorized):
    """Incorrect username or password"""


class RoleNotAllowed(Unauthorized):
    """The token's role may not make this call."""


class ScopeNotCovered(Unauthorized):
    """The token's scopes do not cover this call or the scopes asked for."""


class ScopeNotInPolicy(Unauthorized):
    """The policy of this service does not cover one of the scopes."""


class ScopeNotExtendable(Unauthorized):
    """Scopes in 'all' and 'special' cannot be asked for by extension."""


class SessionTokenNeeded(ApiError, status=403):
    """Only a token of the user's own session, with the scope all:write, may make this call."""


class NoPassword(ApiError, status=403):
    """This user has no password."""


class NotFound(ApiError, status=404):
    """There is nothing at this path."""


class NoSuchSession(NotFound):
    """You have no such session."""


class NoSuchDelegation(NotFound):
    """You have no such delegation."""


class MethodNotAllowed(ApiError, status=405):
    """This path does not take that method."""


class AlreadyClaimed(ApiError, status=409):
    """This token has already been claimed."""


class BodyTooLarge(ApiError, status=413):
    """The body of the request is too large."""


class UnsupportedMediaType(ApiError, status=415):
    """The body of the request is of a media type this call does not take."""


class TooManyAttempts(ApiError, status=429):
    """Too many attempts to log in. Try again later."""


class InternalError(ApiError, status=500):
    """Something went wrong."""


class Unavailable(ApiError, status=503):
    headers = {"Retry-After": "1"}


class DatabaseUnavailable(Unavailable):
    """The service cannot answer right now. Try again in a moment."""


class LoginBusy(Unavailable):
    """Too many people are logging in right now. Try again in a moment."""
