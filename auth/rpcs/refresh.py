"""refresh and webRefresh: a refresh token mints access tokens and does not change."""

from flask import Blueprint

from auth.core import refresh_tokens
from auth.core.errors import InvalidToken
from auth.core.limits import USE_SECONDS
from auth.core.models import AccessToken, AccessTokenAndCsrf
from auth.core.scopes import narrowed
from auth.http.request import Request
from auth.http.rpc import PUBLIC, rpc

blueprint = Blueprint("refresh", __name__)


@rpc(blueprint, "refresh", "POST /auth/refresh", PUBLIC, event="refresh")
def refresh(request: Request, refresh_token: str) -> AccessToken:
    return AccessToken(_mint(request, refresh_token))


@rpc(blueprint, "webRefresh", "POST /auth/refresh/web", PUBLIC, event="refresh")
def web_refresh(request: Request, cookie_token: str) -> AccessTokenAndCsrf:
    return AccessTokenAndCsrf(_mint(request, cookie_token), refresh_tokens.csrf_token(cookie_token))


def _mint(request: Request, refresh_token: str) -> str:
    stored = request.live_row(
        "refresh_token_find", token_hash=refresh_tokens.digest(refresh_token), use_seconds=USE_SECONDS
    )
    reference = stored["public_session_reference"]
    request.record.set_principal(stored["id"], reference, stored["extended_by_chain"])
    scopes = stored["scopes"]
    if stored["policy"] is not None:  # a delegation: the policy of today narrows it
        scopes = narrowed(scopes, stored["policy"])
    if not scopes:
        raise InvalidToken
    return request.tokens.mint(
        stored,
        scopes,
        stored["access_token_lifetime_ms"],
        not_after=stored["not_after"],
        publicSessionReference=reference,
        extendedBy=stored["extended_by"],
        extendedByChain=stored["extended_by_chain"],
    )
