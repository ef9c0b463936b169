"""The cookies of the web flow: their names and attributes, and the checks of origin and CSRF token."""

from urllib.parse import quote

import msgspec
from werkzeug.http import dump_cookie
from werkzeug.sansio.http import parse_cookie  # werkzeug.http's fails on bytes that are not UTF-8

from auth.core import errors, limits, refresh_tokens
from auth.core.origins import origin_of
from auth.http.request import Request


def check_origin(request: Request, may_be_absent: bool = False) -> None:
    """Raises `UntrustedOrigin` unless `Origin`, else `Referer`, names a trusted origin, or both may be absent."""
    claimed = request.header("Origin").strip() or request.header("Referer").strip()
    if (claimed or not may_be_absent) and origin_of(claimed) not in request.config.trusted_origins:
        raise errors.UntrustedOrigin


def refresh_token(request: Request, *_: object) -> str:
    """The refresh token of the cookie, once the origin, the header's CSRF token and the cookie are checked in turn."""
    check_origin(request)
    if request.header("Sec-Fetch-Site").strip().lower() == "cross-site":  # set by the browser, not by the page
        raise errors.UntrustedOrigin
    csrf = request.header("X-CSRFToken")
    if not csrf:
        raise errors.MissingCsrfToken
    token = _refresh_cookie(request)
    if not refresh_tokens.is_pair(token, csrf):
        raise errors.InvalidToken
    return token


def set_refresh_cookie(request: Request, token: str, ttl_seconds: int | None) -> None:
    """Store the refresh token in the browser, hidden from scripts, until it expires; `ttl_seconds` None: 30 days."""
    max_age = limits.REFRESH_COOKIE_SECONDS if ttl_seconds is None else ttl_seconds
    _set_cookie(request, _refresh_cookie_name(request), token, max_age, http_only=True)


def expire_refresh_cookie(request: Request) -> None:
    """Make the browser forget the refresh token, whatever the answer will be."""
    set_refresh_cookie(request, "", 0)


def set_auth_state_cookie(request: Request, tokens: msgspec.Struct) -> None:
    """Give the tokens to the page of the endpoint, whose script decodes the cookie with `decodeURIComponent`."""
    state = quote(msgspec.json.encode(tokens), safe="")
    if len(state) > limits.AUTH_STATE_CHARACTERS:  # a browser would drop it; webRefresh returns the access token
        state = quote(msgspec.json.encode(msgspec.structs.replace(tokens, access_token="")), safe="")
    _set_cookie(request, "authState", state, limits.AUTH_STATE_SECONDS)


def _refresh_cookie_name(request: Request) -> str:
    return "__Host-refreshToken" if request.config.cookie_secure else "refreshToken"


def _refresh_cookie(request: Request) -> str:
    header = request.header("Cookie")
    if len(header) > limits.COOKIE_CHARACTERS:  # gunicorn joins up to 100; to parse them would take longer than a hash
        raise errors.InvalidRequest("The Cookie header is too long.")
    values = {value for value in parse_cookie(header).getlist(_refresh_cookie_name(request)) if value}
    if not values:
        raise errors.MissingRefreshCookie
    token = values.pop()
    if values or "," in token:  # gunicorn joins two Cookie headers with a comma; a token has none
        raise errors.AmbiguousRefreshCookie
    return token


def _set_cookie(request: Request, name: str, value: str, max_age: int, http_only: bool = False) -> None:
    secure = request.config.cookie_secure
    cookie = dump_cookie(name, value, max_age, secure=secure, httponly=http_only, samesite="Strict")
    request.headers_to_set += [("Set-Cookie", cookie)]
