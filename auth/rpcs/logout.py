"""logout, webLogout and bulkInvalidate: refresh tokens end."""

from flask import Blueprint

from auth.core import errors, limits, models, refresh_tokens
from auth.core.claims import Bearer
from auth.http import cookies
from auth.http.request import Request
from auth.http.rpc import PRIVILEGED, PUBLIC, Rpc

blueprint = Blueprint("logout", __name__)


@Rpc(blueprint, "logout", "POST /auth/logout", PUBLIC, event="logout")
def logout(request: Request, refresh_token: str) -> None:
    _end(request, refresh_token)


@Rpc(blueprint, "webLogout", "POST /auth/logout/web", PUBLIC, event="logout")
def web_logout(request: Request, cookie_token: str) -> None:
    """The cookie expires for an unknown token too, but not when the database fails: the user can try again."""
    _end(request, cookie_token, is_cookie=True)


@Rpc(blueprint, "bulkInvalidate", "POST /auth/logout/bulk", PRIVILEGED, "revocation", limits.BULK_BODY_BYTES)
def bulk_invalidate(request: Request, bearer: Bearer, body: models.BulkInvalidateRequest) -> None:
    digests = [refresh_tokens.digest(token) for token in body.tokens]
    request.live_row("refresh_token_delete_many", token_hashes=digests, **bearer.parameters())


def _end(request: Request, refresh_token: str, is_cookie: bool = False) -> None:
    ended = request.db.one("refresh_token_delete", token_hash=refresh_tokens.digest(refresh_token))
    if is_cookie:
        cookies.expire_refresh_cookie(request)
    if ended is None:
        raise errors.InvalidToken
    request.set_principal(ended["principal_id"], ended["public_session_reference"], ended["extended_by_chain"])
    request.details["revoked"] = 1
