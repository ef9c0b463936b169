"""listUserSessions, invalidateSessions and invalidateSession: people see and end their own logins."""

from typing import Final
from uuid import UUID

from flask import Blueprint

from auth.core.claims import Bearer
from auth.core.errors import InvalidToken, NoSuchSession
from auth.core.models import DEFAULT_PAGE_SIZE, PAGE_SIZES, ListUserSessionsRequest, Page, Session, Unit
from auth.db import Row
from auth.http import cookies
from auth.http.request import Request
from auth.http.rpc import END_USERS, READ, WRITE, rpc

BATCH: Final = 2_000  # sessions that one statement ends, well within its time

blueprint = Blueprint("sessions", __name__)


@rpc(blueprint, "listUserSessions", "GET /auth/sessions", END_USERS, READ, own_session=True)
def list_user_sessions(request: Request, bearer: Bearer, query: ListUserSessionsRequest) -> Page[Session]:
    size = query.items_per_page if query.items_per_page in PAGE_SIZES else DEFAULT_PAGE_SIZE
    number = max(query.page, 0)
    rows = request.db.many("session_list", items_per_page=size, offset=number * size, **bearer.parameters())
    if not rows:
        raise InvalidToken
    items = [_session(row, bearer) for row in rows if row["public_session_reference"] is not None]
    return Page(rows[0]["items_in_total"], size, number, items)


@rpc(blueprint, "invalidateSessions", "DELETE /auth/sessions", END_USERS, WRITE, event="revocation", own_session=True)
def invalidate_sessions(request: Request, bearer: Bearer) -> Unit:
    revoked, more = 0, True
    while more:
        ended = request.live_row("session_delete_all", batch=BATCH, **bearer.parameters())
        revoked, more = revoked + ended["revoked"], ended["more"]
    request.record.details["revoked"] = revoked
    cookies.expire_refresh_cookie(request)
    return Unit()


@rpc(
    blueprint, "invalidateSession", "DELETE /auth/sessions/<session_id>", END_USERS, WRITE,
    event="revocation", own_session=True,
)  # fmt: skip
def invalidate_session(request: Request, bearer: Bearer, session_id: str) -> Unit:
    reference = _reference(session_id)
    ended = request.live_row("session_delete", session_id=reference, **bearer.parameters())
    if not ended["was_there"]:
        raise NoSuchSession
    request.record.details |= {"ended": session_id, "revoked": 1}
    if reference == bearer.session_reference:
        cookies.expire_refresh_cookie(request)
    return Unit()


def _reference(session_id: str) -> UUID:
    try:
        reference = UUID(session_id)
    except ValueError:
        raise NoSuchSession from None
    if str(reference) != session_id:  # one session, one path
        raise NoSuchSession
    return reference


def _session(row: Row, bearer: Bearer) -> Session:
    reference = row["public_session_reference"]
    return Session(
        row["ip_address"] or "Unknown location",
        row["user_agent"] or "Unknown device",
        row["created_at_ms"],
        str(reference),
        reference == bearer.session_reference,
    )
