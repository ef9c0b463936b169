"""refresh and webRefresh: a refresh token mints access tokens and does not change."""

from flask import Blueprint

from auth.core import errors, limits, models, refresh_tokens
from auth.core.scopes import Scope, all_covered
from auth.http.request import Request
from auth.http.rpc import PUBLIC, Rpc

blueprint = Blueprint("refresh", __name__)


@Rpc(blueprint, "refresh", "POST /auth/refresh", PUBLIC, event="refresh")
def refresh(request: Request, refresh_token: str) -> models.AccessToken:
    return models.AccessToken(_mint(request, refresh_token))


@Rpc(blueprint, "webRefresh", "POST /auth/refresh/web", PUBLIC, event="refresh")
def web_refresh(request: Request, cookie_token: str) -> models.AccessTokenAndCsrf:
    return models.AccessTokenAndCsrf(_mint(request, cookie_token), refresh_tokens.csrf_token(cookie_token))


def _mint(request: Request, refresh_token: str) -> str:
    digest = refresh_tokens.digest(refresh_token)
    stored = request.live_row("refresh_token_find", token_hash=digest, use_seconds=limits.USE_SECONDS)
    session_reference = stored["public_session_reference"]
    chain = stored["extended_by_chain"]
    request.set_principal(stored["id"], session_reference, chain)
    granted = stored["scopes"]
    if stored["policy"] is not None:  # a delegation: the policy of today narrows it
        policy = [Scope.parse(scope) for scope in stored["policy"]]
        granted = [scope for scope in granted if all_covered([Scope.parse(scope)], policy)]
    if not granted:
        raise errors.InvalidToken
    provenance = {"extendedBy": stored["extended_by"], "extendedByChain": chain}
    lifetime_ms = stored["access_token_lifetime_ms"]
    return request.tokens.mint(stored, granted, lifetime_ms, publicSessionReference=session_reference, **provenance)
