"""Every answer that is not a success. A class's docstring is what the client reads in `why`."""

import inspect
from collections.abc import Mapping


class ApiError(Exception):
    """Something went wrong."""

    status = 500
    error_code: str | None = None
    headers: Mapping[str, str] = {}

    @property
    def why(self) -> str:
        return inspect.cleandoc(type(self).__doc__ or "")


class InvalidRequest(ApiError):
    """The request does not have the form this call takes."""

    status = 400
    error_code = "INVALID_REQUEST"

    def __init__(self, why: str | None = None) -> None:
        super().__init__(why)
        self._why = why

    @property
    def why(self) -> str:
        return self._why or super().why


class UnreadableBody(ApiError):
    """The body of the request could not be read."""

    status = 400
    error_code = "UNREADABLE_BODY"


class UnknownLoginService(ApiError):
    """There is no such login service."""

    status = 400
    error_code = "UNKNOWN_LOGIN_SERVICE"


class UntrustedOrigin(ApiError):
    """This call may not be made from that origin."""

    status = 400
    error_code = "UNTRUSTED_ORIGIN"


class MissingCsrfToken(ApiError):
    """The X-CSRFToken header is missing."""

    status = 400
    error_code = "MISSING_CSRF_TOKEN"


class MissingRefreshCookie(ApiError):
    """The refresh token cookie is missing."""

    status = 400
    error_code = "MISSING_REFRESH_COOKIE"


class AmbiguousRefreshCookie(ApiError):
    """The request carries two different refresh token cookies."""

    status = 400
    error_code = "AMBIGUOUS_REFRESH_COOKIE"


class MalformedScope(ApiError):
    """A security scope is malformed."""

    status = 400
    error_code = "MALFORMED_SCOPE"


class InvalidExpiresIn(ApiError):
    """expiresIn must be between 1 and 86,400,000 milliseconds."""

    status = 400
    error_code = "INVALID_EXPIRES_IN"


class PasswordTooShort(ApiError):
    """The password is too short. Use at least 15 characters."""

    status = 400
    error_code = "PASSWORD_TOO_SHORT"


class PasswordTooLong(ApiError):
    """The password is too long. Use at most 1,024 bytes."""

    status = 400
    error_code = "PASSWORD_TOO_LONG"


class PasswordTooEasy(ApiError):
    """The password is too easy to guess. Use several unrelated words, none of them from your name, e-mail or id."""

    status = 400
    error_code = "PASSWORD_TOO_EASY"


class Unauthorized(ApiError):
    """The caller is not allowed to do this."""

    status = 401
    error_code = "UNAUTHORIZED"
    headers = {"WWW-Authenticate": "Bearer"}


class InvalidToken(Unauthorized):
    """Invalid token"""

    error_code = "INVALID_TOKEN"


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


class Unstorable(ApiError):
    """Something went wrong."""

    error_code = "INTERNAL_ERROR"


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
