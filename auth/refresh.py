"""refresh and webRefresh: a refresh token mints access tokens, and is not changed by it."""

from flask import Blueprint

from . import cookies, refresh_tokens
from .current import db, tokens
from .errors import InvalidToken
from .models import AccessToken, AccessTokenAndCsrf
from .requests import bearer_token
from .rpc import PUBLIC, Rpc
from .tokens import Grant

blueprint = Blueprint("refresh", __name__)

REFRESH = Rpc(
    name="refresh", method="POST", path="/auth/refresh", roles=PUBLIC, response=AccessToken, errors=(401, 503)
)
WEB_REFRESH = Rpc(
    name="webRefresh",
    method="POST",
    path="/auth/refresh/web",
    roles=PUBLIC,
    response=AccessTokenAndCsrf,
    errors=(400, 401, 503),
)


@REFRESH.register(blueprint)
def refresh() -> AccessToken:
    refresh_token = bearer_token()
    if refresh_token is None:
        raise InvalidToken
    return AccessToken(_mint(refresh_token))


@WEB_REFRESH.register(blueprint)
def web_refresh() -> AccessTokenAndCsrf:
    refresh_token, csrf = cookies.web_credentials()
    if not refresh_tokens.is_pair(refresh_token, csrf):
        raise InvalidToken
    return AccessTokenAndCsrf(_mint(refresh_token), csrf)


def _mint(refresh_token: str) -> str:
    found = db().one("refresh_token_find", token_hash=refresh_tokens.digest(refresh_token))
    if found is None:
        raise InvalidToken
    grant = Grant(
        found["scopes"],
        found["access_token_lifetime_ms"],
        found["public_session_reference"],
        found["extended_by"],
        found["extended_by_chain"],
    )
    return tokens().mint(found, grant)
