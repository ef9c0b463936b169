"""refresh and webRefresh: a refresh token mints access tokens and does not change."""

from collections.abc import Sequence

from flask import Blueprint

from auth.core import errors, limits, models, refresh_tokens
from auth.core.scopes import Scope, all_covered
from auth.db import Row
from auth.http.request import Request
from auth.http.rpc import PUBLIC, Rpc

blueprint = Blueprint("refresh", __name__)


@Rpc(blueprint, "refresh", "POST /auth/refresh", PUBLIC, event="refresh")
def refresh(request: Request, refresh_token: str) -> models.AccessToken:
    return models.AccessToken(mint(request, find(request, refresh_token)))


@Rpc(blueprint, "webRefresh", "POST /auth/refresh/web", PUBLIC, event="refresh")
def web_refresh(request: Request, cookie_token: str) -> models.AccessTokenAndCsrf:
    access_token = mint(request, find(request, cookie_token))
    return models.AccessTokenAndCsrf(access_token, refresh_tokens.csrf_token(cookie_token))


def find(request: Request, refresh_token: str) -> Row:
    """The live refresh token with its principal. Raises `InvalidToken`."""
    digest = refresh_tokens.digest(refresh_token)
    stored = request.live_row("refresh_token_find", token_hash=digest, use_seconds=limits.USE_SECONDS)
    request.set_principal(stored["id"], stored["public_session_reference"], stored["extended_by_chain"])
    return stored


def mint(request: Request, stored: Row, asked: Sequence[Scope] = ()) -> str:
    """An access token for a row of `find`, with the asked scopes (none: all). Raises as `AccessTokens.mint` does."""
    granted = stored["scopes"]
    if stored["policy"] is not None:  # a delegation: the policy of today narrows it
        policy = [Scope.parse(scope) for scope in stored["policy"]]
        granted = [scope for scope in granted if all_covered([Scope.parse(scope)], policy)]
    if not granted:
        raise errors.InvalidToken
    provenance = {"extendedBy": stored["extended_by"], "extendedByChain": stored["extended_by_chain"]}
    provenance["publicSessionReference"] = stored["public_session_reference"]
    return request.tokens.mint(stored, granted, stored["access_token_lifetime_ms"], asked=asked, **provenance)
