"""logout, webLogout and bulkInvalidate: refresh tokens end."""

from flask import Blueprint, Response

from . import audit, cookies, refresh_tokens
from .current import db
from .errors import InvalidToken
from .models import BulkInvalidateRequest, Unit
from .responses import error_response_of, json_response
from .rpc import PRIVILEGED, PUBLIC, Rpc
from .scopes import Access
from .tokens import Bearer

blueprint = Blueprint("logout", __name__)

LOGOUT = Rpc(
    name="logout",
    method="POST",
    path="/auth/logout",
    roles=PUBLIC,
    credential="refresh token",
    event="logout",
    response=Unit,
    errors=(400, 401, 413, 503),
)
WEB_LOGOUT = Rpc(
    name="webLogout",
    method="POST",
    path="/auth/logout/web",
    roles=PUBLIC,
    credential="refresh cookie",
    event="logout",
    response=Unit,
    errors=(400, 401, 413, 503),
)
BULK_INVALIDATE = Rpc(
    name="bulkInvalidate",
    method="POST",
    path="/auth/logout/bulk",
    roles=PRIVILEGED,
    credential="access token",
    event="revocation",
    access=Access.WRITE,
    body=BulkInvalidateRequest,
    response=Unit,
    errors=(400, 401, 413, 415, 503),
)


@LOGOUT.register(blueprint)
def logout(refresh_token: str) -> Unit:
    if not _end(refresh_token):
        raise InvalidToken
    return Unit()


@WEB_LOGOUT.register(blueprint)
def web_logout(refresh_token: str) -> Response:
    answer = json_response(Unit()) if _end(refresh_token) else error_response_of(InvalidToken())
    return cookies.expire_refresh_cookie(answer)


@BULK_INVALIDATE.register(blueprint)
def bulk_invalidate(bearer: Bearer, body: BulkInvalidateRequest) -> Unit:
    digests = [refresh_tokens.digest(token) for token in body.tokens]
    ended = db().one("refresh_token_delete_many", token_hashes=digests, **bearer.parameters())
    if ended is None:
        raise InvalidToken
    audit.details(revoked=ended["revoked"])
    return Unit()


def _end(refresh_token: str) -> bool:
    ended = db().one("refresh_token_delete", token_hash=refresh_tokens.digest(refresh_token))
    if ended is None or not ended["live"]:
        return False
    audit.who(ended["principal_id"], ended["public_session_reference"], ended["extended_by_chain"])
    audit.details(revoked=1)
    return True
