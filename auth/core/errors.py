"""Every error answer. The docstring of a class is the `why` that the client gets."""

import inspect
from collections.abc import Mapping


class ApiError(Exception):
    """Something went wrong."""

    status = 500
    error_code: str | None = None
    headers: Mapping[str, str] = {}
    cause: str | None = None  # for the log alone

    @property
    def why(self) -> str:
        return inspect.cleandoc(type(self).__doc__ or "")


class BadRequest(ApiError):
    """The request could not be understood."""

    status = 400
    error_code = "BAD_REQUEST"


class InvalidRequest(BadRequest):
    """The request does not have the form this call takes."""

    error_code = "INVALID_REQUEST"

    def __init__(self, why: str | None = None) -> None:
        super().__init__(why)
        self._why = why

    @property
    def why(self) -> str:
        return self._why or super().why


class UnreadableBody(BadRequest):
    """The body of the request could not be read."""

    error_code = "UNREADABLE_BODY"


class UnknownLoginService(BadRequest):
    """There is no such login service."""

    error_code = "UNKNOWN_LOGIN_SERVICE"


class UntrustedOrigin(BadRequest):
    """This call may not be made from that origin."""

    error_code = "UNTRUSTED_ORIGIN"


class MissingCsrfToken(BadRequest):
    """The X-CSRFToken header is missing."""

    error_code = "MISSING_CSRF_TOKEN"


class MissingRefreshCookie(BadRequest):
    """The refresh token cookie is missing."""

    error_code = "MISSING_REFRESH_COOKIE"


class AmbiguousRefreshCookie(BadRequest):
    """The request carries two different refresh token cookies."""

    error_code = "AMBIGUOUS_REFRESH_COOKIE"


class MalformedScope(BadRequest):
    """A security scope is malformed."""

    error_code = "MALFORMED_SCOPE"


class InvalidExpiresIn(BadRequest):
    """expiresIn must be between 1 and 86,400,000 milliseconds."""

    error_code = "INVALID_EXPIRES_IN"


class PasswordTooShort(BadRequest):
    """The password is too short. Use at least 15 characters."""

    error_code = "PASSWORD_TOO_SHORT"


class PasswordTooLong(BadRequest):
    """The password is too long. Use at most 1,024 bytes."""

    error_code = "PASSWORD_TOO_LONG"


class PasswordTooEasy(BadRequest):
    """The password is too easy to guess. Use several unrelated words, none of them from your name, e-mail or id."""

    error_code = "PASSWORD_TOO_EASY"


class Unauthorized(ApiError):
    """The caller is not allowed to do this."""

    status = 401
    error_code = "UNAUTHORIZED"
    headers = {"WWW-Authenticate": "Bearer"}


class InvalidToken(Unauthorized):
    """Invalid token"""

    error_code = "INVALID_TOKEN"


class UnknownKey(InvalidToken):
    """Invalid token"""

    cause = "the token names a key that is not among JWT_PRIVATE_KEY and JWT_PUBLIC_KEYS"


class IncorrectCredentials(Unauthorized):
    """Incorrect username or password"""

    error_code = "INCORRECT_CREDENTIALS"


class RoleNotAllowed(Unauthorized):
    """The token's role may not make this call."""

    error_code = "ROLE_NOT_ALLOWED"


class ScopeNotCovered(Unauthorized):
    """The token's scopes do not cover this."""

    error_code = "SCOPE_NOT_COVERED"


class ScopeNotInPolicy(Unauthorized):
    """This service may not ask for one of the scopes."""

    error_code = "SCOPE_NOT_IN_POLICY"


class ScopeNotExtendable(Unauthorized):
    """Scopes in 'all' and 'special' cannot be asked for by extension."""

    error_code = "SCOPE_NOT_EXTENDABLE"


class SessionTokenNeeded(ApiError):
    """Only a token of the user's own session, with the scope all:write, may make this call."""

    status = 403
    error_code = "SESSION_TOKEN_NEEDED"


class NoSuchSession(ApiError):
    """You have no such session."""

    status = 404
    error_code = "NO_SUCH_SESSION"


class AlreadyClaimed(ApiError):
    """This token has already been claimed."""

    status = 409
    error_code = "ALREADY_CLAIMED"


class BodyTooLarge(ApiError):
    """The body of the request is too large: the limit is 2 MiB, and 64 KiB at login."""

    status = 413
    error_code = "BODY_TOO_LARGE"


class UnsupportedMediaType(ApiError):
    """The body of the request is of a media type this call does not take."""

    status = 415
    error_code = "UNSUPPORTED_MEDIA_TYPE"


class TooManyAttempts(ApiError):
    """Too many attempts to log in. Try again later."""

    status = 429
    error_code = "TOO_MANY_ATTEMPTS"

    def __init__(self, retry_after_seconds: int) -> None:
        super().__init__()
        self.headers = {"Retry-After": str(retry_after_seconds)}


class InternalError(ApiError):
    """Something went wrong."""

    error_code = "INTERNAL_ERROR"

    def __init__(self, cause: str | None = None) -> None:
        super().__init__(cause)
        self.cause = cause


class Unstorable(InternalError):
    """Something went wrong."""


class HashingBusy(ApiError):
    """Too many people are logging in right now. Try again in a moment."""

    status = 503
    error_code = "LOGIN_BUSY"
    headers = {"Retry-After": "1"}


class DatabaseUnavailable(ApiError):
    """The service cannot answer right now. Try again in a moment."""

    status = 503
    error_code = "DATABASE_UNAVAILABLE"
    headers = {"Retry-After": "1"}

    def __init__(self, cause: str = "not migrated") -> None:
        super().__init__(cause)
        self.cause = cause
