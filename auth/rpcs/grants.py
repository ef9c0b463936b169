"""Users list and end their own grants: sessions, and the delegations by which services act for them."""

import re

from flask import Blueprint

from auth.core.claims import Bearer
from auth.core.errors import ApiError, NoSuchDelegation, NoSuchSession
from auth.core.models import DEFAULT_PAGE_SIZE, PAGE_SIZES, Delegation, Item, Page, PageRequest, Session
from auth.http import cookies
from auth.http.request import Request
from auth.http.rpc import USERS, Rpc

blueprint = Blueprint("grants", __name__)

EVENT = "revocation"
_UUID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@Rpc(blueprint, "listUserSessions", "GET /auth/sessions", USERS, own_session=True)
def list_user_sessions(request: Request, bearer: Bearer, query: PageRequest) -> Page[Session]:
    return _page(request, "session_list", bearer, query, Session)


@Rpc(blueprint, "invalidateSessions", "DELETE /auth/sessions", USERS, EVENT, own_session=True)
def invalidate_sessions(request: Request, bearer: Bearer) -> None:
    request.live_row("session_delete_all", **bearer.parameters())
    cookies.expire_refresh_cookie(request)


@Rpc(blueprint, "invalidateSession", "DELETE /auth/sessions/<session_id>", USERS, EVENT, own_session=True)
def invalidate_session(request: Request, bearer: Bearer, session_id: str) -> None:
    _end(request, "session_delete", bearer, session_id, NoSuchSession)
    if session_id == str(bearer.session_reference):
        cookies.expire_refresh_cookie(request)


@Rpc(blueprint, "listDelegations", "GET /auth/delegations", USERS, own_session=True)
def list_delegations(request: Request, bearer: Bearer, query: PageRequest) -> Page[Delegation]:
    return _page(request, "delegation_list", bearer, query, Delegation)


@Rpc(blueprint, "invalidateDelegations", "DELETE /auth/delegations", USERS, EVENT, own_session=True)
def invalidate_delegations(request: Request, bearer: Bearer) -> None:
    request.live_row("delegation_delete_all", **bearer.parameters())
    request.db.run("principal_mark_ended", id=bearer.principal_id)


@Rpc(blueprint, "invalidateDelegation", "DELETE /auth/delegations/<delegation_id>", USERS, EVENT, own_session=True)
def invalidate_delegation(request: Request, bearer: Bearer, delegation_id: str) -> None:
    _end(request, "delegation_delete", bearer, delegation_id, NoSuchDelegation)


def _page(request: Request, statement: str, bearer: Bearer, query: PageRequest, item: type[Item]) -> Page[Item]:
    """The page of the statement's rows that the query asks for. Raises `InvalidToken` when the grant has ended."""
    size = query.items_per_page if query.items_per_page in PAGE_SIZES else DEFAULT_PAGE_SIZE
    number = max(query.page, 0)
    page = request.live_row(statement, items_per_page=size, offset=number * size, **bearer.parameters())
    return Page(page["items_in_total"], size, number, [item(**fields) for fields in page["items"]])


def _end(request: Request, statement: str, bearer: Bearer, text: str, missing: type[ApiError]) -> None:
    """End the session or delegation with that UUID, in its canonical spelling only. Raises `missing`."""
    session_reference = text if _UUID.fullmatch(text) else None
    if not request.live_row(statement, session_reference=session_reference, **bearer.parameters())["was_there"]:
        raise missing
    request.details |= {"ended": text, "revoked": 1}
