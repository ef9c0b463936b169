"""refresh and webRefresh: a refresh token mints access tokens, and is not changed by it."""

from flask import Blueprint

from . import audit, refresh_tokens
from .current import db, tokens
from .db import Row
from .errors import InvalidToken
from .models import AccessToken, AccessTokenAndCsrf
from .rpc import PUBLIC, Rpc
from .scopes import Scope, all_covered
from .tokens import Grant

blueprint = Blueprint("refresh", __name__)

REFRESH = Rpc(
    name="refresh",
    method="POST",
    path="/auth/refresh",
    roles=PUBLIC,
    credential="refresh token",
    event="refresh",
    response=AccessToken,
    errors=(400, 401, 413, 503),
)
WEB_REFRESH = Rpc(
    name="webRefresh",
    method="POST",
    path="/auth/refresh/web",
    roles=PUBLIC,
    credential="refresh cookie",
    event="refresh",
    response=AccessTokenAndCsrf,
    errors=(400, 401, 413, 503),
)


@REFRESH.register(blueprint)
def refresh(refresh_token: str) -> AccessToken:
    return AccessToken(_mint(refresh_token))


@WEB_REFRESH.register(blueprint)
def web_refresh(refresh_token: str) -> AccessTokenAndCsrf:
    return AccessTokenAndCsrf(_mint(refresh_token), refresh_tokens.csrf_token(refresh_token))


def _mint(refresh_token: str) -> str:
    found = db().one("refresh_token_find", token_hash=refresh_tokens.digest(refresh_token))
    if found is None:
        raise InvalidToken
    audit.who(found["id"], found["public_session_reference"], found["extended_by_chain"])
    grant = Grant(
        _scopes_of_today(found),
        found["access_token_lifetime_ms"],
        found["public_session_reference"],
        found["extended_by"],
        found["extended_by_chain"],
        not_after=found["not_after"],
    )
    return tokens().mint(found, grant)


def _scopes_of_today(stored: Row) -> list[str]:
    """The stored scopes; of a delegation, those that the policy of its holder still covers."""
    if stored["policy"] is None:
        return list(stored["scopes"])
    policy = [Scope.parse(scope) for scope in stored["policy"]]
    scopes = [scope for scope in stored["scopes"] if all_covered([Scope.parse(scope)], policy)]
    if not scopes:
        raise InvalidToken
    return scopes
