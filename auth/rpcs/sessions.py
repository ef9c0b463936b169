"""listUserSessions, invalidateSessions and invalidateSession: users list and end their own sessions."""

import re
from collections.abc import Callable
from typing import Final

from auth.core.errors import ApiError, NoSuchSession
from auth.core.models import DEFAULT_PAGE_SIZE, PAGE_SIZES, Item, Page, PageRequest, Session
from auth.http import cookies
from auth.http.rpc import END_USERS, Bearer, Blueprint, Request, rpc

_UUID: Final = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

blueprint = Blueprint("sessions", __name__)


@rpc(blueprint, "listUserSessions", "GET /auth/sessions", END_USERS)
def list_user_sessions(request: Request, bearer: Bearer, query: PageRequest) -> Page[Session]:
    return page_of(request, "session_list", bearer, query, Session)


@rpc(blueprint, "invalidateSessions", "DELETE /auth/sessions", END_USERS, event="revocation")
def invalidate_sessions(request: Request, bearer: Bearer) -> None:
    request.live_row("session_delete_all", **bearer.parameters())
    cookies.expire_refresh_cookie(request)


@rpc(blueprint, "invalidateSession", "DELETE /auth/sessions/<session_id>", END_USERS, event="revocation")
def invalidate_session(request: Request, bearer: Bearer, session_id: str) -> None:
    end_one(request, "session_delete", bearer, session_id, NoSuchSession)
    if session_id == str(bearer.session_reference):
        cookies.expire_refresh_cookie(request)


def page_of(request: Request, name: str, bearer: Bearer, query: PageRequest, model: Callable[..., Item]) -> Page[Item]:
    """One page of the items of a statement like `session_list`. Raises `InvalidToken` when the grant has ended."""
    size = query.items_per_page if query.items_per_page in PAGE_SIZES else DEFAULT_PAGE_SIZE
    number = max(query.page, 0)
    page = request.live_row(name, items_per_page=size, offset=number * size, **bearer.parameters())
    return Page(page["items_in_total"], size, number, [model(**item) for item in page["items"]])


def end_one(request: Request, statement: str, bearer: Bearer, text: str, missing: type[ApiError]) -> None:
    """End the session or delegation with that UUID, in its canonical spelling only. Raises `missing`."""
    session_reference = text if _UUID.fullmatch(text) else None
    if not request.live_row(statement, session_reference=session_reference, **bearer.parameters())["was_there"]:
        raise missing
    request.details |= {"ended": text, "revoked": 1}
