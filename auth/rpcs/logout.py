"""logout, webLogout and bulkInvalidate: refresh tokens end."""

from flask import Blueprint

from auth.core import refresh_tokens
from auth.core.claims import Bearer
from auth.core.errors import InvalidToken
from auth.core.models import BulkInvalidateRequest, Unit
from auth.http import cookies
from auth.http.request import Request
from auth.http.rpc import PRIVILEGED, PUBLIC, rpc

blueprint = Blueprint("logout", __name__)


@rpc(blueprint, "logout", "POST /auth/logout", PUBLIC, event="logout")
def logout(request: Request, refresh_token: str) -> Unit:
    if not _end(request, refresh_token):
        raise InvalidToken
    return Unit()


@rpc(blueprint, "webLogout", "POST /auth/logout/web", PUBLIC, event="logout")
def web_logout(request: Request, cookie_token: str) -> Unit:
    """The cookie expires with an unknown token too, but not when the database fails: the user can ask again."""
    ended = _end(request, cookie_token)
    cookies.expire_refresh_cookie(request)
    if not ended:
        raise InvalidToken
    return Unit()


@rpc(blueprint, "bulkInvalidate", "POST /auth/logout/bulk", PRIVILEGED, event="revocation")
def bulk_invalidate(request: Request, bearer: Bearer, body: BulkInvalidateRequest) -> Unit:
    digests = [refresh_tokens.digest(token) for token in body.tokens]
    ended = request.live_row("refresh_token_delete_many", token_hashes=digests, **bearer.parameters())
    request.record.details["revoked"] = ended["revoked"]
    return Unit()


def _end(request: Request, refresh_token: str) -> bool:
    ended = request.db.one("refresh_token_delete", token_hash=refresh_tokens.digest(refresh_token))
    if ended is None or not ended["live"]:
        return False
    request.record.set_principal(ended["principal_id"], ended["public_session_reference"], ended["extended_by_chain"])
    request.record.details["revoked"] = 1
    return True
