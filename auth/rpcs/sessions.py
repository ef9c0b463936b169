"""listUserSessions, invalidateSessions and invalidateSession: people see and end their own logins."""

from collections.abc import Callable
from typing import Final

from flask import Blueprint

from auth.core.claims import Bearer
from auth.core.errors import InvalidToken, NoSuchSession
from auth.core.models import DEFAULT_PAGE_SIZE, PAGE_SIZES, Item, Page, PageRequest, Session, Unit
from auth.db import Row
from auth.http import cookies
from auth.http.reading import reference
from auth.http.request import Request
from auth.http.rpc import END_USERS, rpc

BATCH: Final = 2_000  # sessions that one statement ends, well within its time

blueprint = Blueprint("sessions", __name__)


@rpc(blueprint, "listUserSessions", "GET /auth/sessions", END_USERS)
def list_user_sessions(request: Request, bearer: Bearer, query: PageRequest) -> Page[Session]:
    return page_of(request, "session_list", bearer, query, lambda row: Session.of(row, bearer.session_reference))


@rpc(blueprint, "invalidateSessions", "DELETE /auth/sessions", END_USERS, event="revocation")
def invalidate_sessions(request: Request, bearer: Bearer) -> Unit:
    end_all(request, "session_delete_all", bearer)
    cookies.expire_refresh_cookie(request)
    return Unit()


@rpc(blueprint, "invalidateSession", "DELETE /auth/sessions/<session_id>", END_USERS, event="revocation")
def invalidate_session(request: Request, bearer: Bearer, session_id: str) -> Unit:
    ended = reference(session_id, NoSuchSession)
    if not request.live_row("session_delete", session_id=ended, **bearer.parameters())["was_there"]:
        raise NoSuchSession
    request.record.details |= {"ended": session_id, "revoked": 1}
    if ended == bearer.session_reference:
        cookies.expire_refresh_cookie(request)
    return Unit()


def page_of(
    request: Request, statement: str, bearer: Bearer, query: PageRequest, item: Callable[[Row], Item]
) -> Page[Item]:
    """The page asked for, of the rows of a statement like `session_list`. Raises `InvalidToken`."""
    size = query.items_per_page if query.items_per_page in PAGE_SIZES else DEFAULT_PAGE_SIZE
    number = max(query.page, 0)
    rows = request.db.many(statement, items_per_page=size, offset=number * size, **bearer.parameters())
    if not rows:
        raise InvalidToken
    items = [item(row) for row in rows if row["public_session_reference"] is not None]
    return Page(rows[0]["items_in_total"], size, number, items)


def end_all(request: Request, statement: str, bearer: Bearer) -> None:
    """End what the statement ends, in batches. Raises `InvalidToken` when nothing has ended yet.

    The statement runs until it ends nothing, at least twice: while it waits for a lock, a row that it cannot see may be
    stored.
    """
    parameters = {"batch": BATCH, **bearer.parameters()}
    request.record.details["revoked"] = request.live_row(statement, **parameters)["revoked"]
    while (row := request.db.one(statement, **parameters)) and row["revoked"]:
        request.record.details["revoked"] += row["revoked"]
