"""The cookies of the web flow: the only place that knows their names and attributes."""

from urllib.parse import quote

import msgspec
from flask import Response, request
from werkzeug.sansio.http import parse_cookie  # the other one fails on what is not UTF-8

from .current import config
from .errors import AmbiguousRefreshCookie, InvalidRequest, MissingCsrfToken, MissingRefreshCookie, UntrustedOrigin
from .limits import AUTH_STATE_SECONDS, COOKIE_CHARACTERS, REFRESH_COOKIE_SECONDS
from .models import OptionalAuthenticationTokens
from .origins import origin_of


def require_trusted_origin() -> None:
    """Refuse a call that no trusted page made. Raises `UntrustedOrigin`, also when neither header is there."""
    if origin_of(_claimed_origin()) not in config().trusted_origins:
        raise UntrustedOrigin


def refuse_untrusted_origin() -> None:
    """Refuse a call that some other page made; one that names no page passes. Raises `UntrustedOrigin`."""
    if _claimed_origin():
        require_trusted_origin()


def web_credentials() -> tuple[str, str]:
    """The refresh token of the cookie and the CSRF token of the header; whether they fit is not checked here.

    Raises `UntrustedOrigin`, `MissingCsrfToken`, `InvalidRequest`, `MissingRefreshCookie` and `AmbiguousRefreshCookie`.
    """
    require_trusted_origin()
    if request.headers.get("Sec-Fetch-Site", "").strip().lower() == "cross-site":  # the browser's own word
        raise UntrustedOrigin
    csrf = request.headers.get("X-CSRFToken")
    if not csrf:
        raise MissingCsrfToken
    return _refresh_cookie(), csrf


def set_refresh_cookie(response: Response, refresh_token: str, ttl_seconds: int | None) -> None:
    """Keep the refresh token in the browser, out of reach of its scripts, for as long as it is good."""
    max_age = REFRESH_COOKIE_SECONDS if ttl_seconds is None else ttl_seconds
    _set_cookie(response, _refresh_cookie_name(), refresh_token, max_age, http_only=True)


def expire_refresh_cookie(response: Response) -> Response:
    """Make the browser forget the refresh token."""
    _set_cookie(response, _refresh_cookie_name(), "", 0, http_only=True)
    return response


def set_auth_state_cookie(response: Response, tokens: OptionalAuthenticationTokens) -> None:
    """Hand the tokens to the page the browser is sent to, whose script reads it with `decodeURIComponent`."""
    _set_cookie(response, "authState", quote(msgspec.json.encode(tokens), safe=""), AUTH_STATE_SECONDS)


def _claimed_origin() -> str:
    return request.headers.get("Origin", "").strip() or request.headers.get("Referer", "").strip()


def _refresh_cookie_name() -> str:
    return "__Host-refreshToken" if config().cookie_secure else "refreshToken"


def _refresh_cookie() -> str:
    header = request.headers.get("Cookie", "")
    if len(header) > COOKIE_CHARACTERS:  # gunicorn joins up to 100 of them, which would take longer than a hash
        raise InvalidRequest("The Cookie header is too long.")
    cookies = parse_cookie(header)
    values = {value for value in cookies.getlist(_refresh_cookie_name()) if value}
    if not values:
        raise MissingRefreshCookie
    refresh_token = values.pop()
    if values or "," in refresh_token:  # with which gunicorn joins two Cookie headers, and no token has
        raise AmbiguousRefreshCookie
    return refresh_token


def _set_cookie(response: Response, name: str, value: str, max_age: int, http_only: bool = False) -> None:
    response.set_cookie(
        name, value, max_age, path="/", secure=config().cookie_secure, httponly=http_only, samesite="Strict"
    )
