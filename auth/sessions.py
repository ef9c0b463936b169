"""listUserSessions, invalidateSessions and invalidateSession: people see and end their own logins."""

from typing import Final
from uuid import UUID

from flask import Blueprint, Response

from . import audit, cookies
from .current import db
from .db import Row
from .errors import InvalidToken, NoSuchSession
from .models import DEFAULT_PAGE_SIZE, PAGE_SIZES, ListUserSessionsRequest, Page, Session, Unit
from .responses import json_response
from .rpc import END_USERS, Rpc
from .scopes import Access
from .tokens import Bearer

BATCH: Final = 10_000  # sessions that one statement ends, well within its time

blueprint = Blueprint("sessions", __name__)

LIST_USER_SESSIONS = Rpc(
    name="listUserSessions",
    method="GET",
    path="/auth/sessions",
    roles=END_USERS,
    credential="access token",
    event=None,
    access=Access.READ,
    own_session=True,
    query=ListUserSessionsRequest,
    response=Page[Session],
    errors=(400, 401, 403, 413, 503),
)
INVALIDATE_SESSIONS = Rpc(
    name="invalidateSessions",
    method="DELETE",
    path="/auth/sessions",
    roles=END_USERS,
    credential="access token",
    event="revocation",
    access=Access.WRITE,
    own_session=True,
    response=Unit,
    errors=(400, 401, 403, 413, 503),
)
INVALIDATE_SESSION = Rpc(
    name="invalidateSession",
    method="DELETE",
    path="/auth/sessions/<session_id>",
    roles=END_USERS,
    credential="access token",
    event="revocation",
    access=Access.WRITE,
    own_session=True,
    response=Unit,
    errors=(400, 401, 403, 404, 413, 503),
)


@LIST_USER_SESSIONS.register(blueprint)
def list_user_sessions(bearer: Bearer, query: ListUserSessionsRequest) -> Page[Session]:
    size = query.items_per_page if query.items_per_page in PAGE_SIZES else DEFAULT_PAGE_SIZE
    number = max(query.page, 0)
    rows = db().many("session_list", items_per_page=size, offset=number * size, **bearer.parameters())
    if not rows:
        raise InvalidToken
    items = [_session(row, bearer) for row in rows if row["public_session_reference"] is not None]
    return Page(rows[0]["items_in_total"], size, number, items)


@INVALIDATE_SESSIONS.register(blueprint)
def invalidate_sessions(bearer: Bearer) -> Response:
    revoked, more = 0, True
    while more:
        ended = db().one("session_delete_all", batch=BATCH, **bearer.parameters())
        if ended is None:
            raise InvalidToken
        revoked, more = revoked + ended["revoked"], ended["more"]
    audit.details(revoked=revoked)
    return cookies.expire_refresh_cookie(json_response(Unit()))


@INVALIDATE_SESSION.register(blueprint)
def invalidate_session(bearer: Bearer, session_id: str) -> Response:
    reference = _reference(session_id)
    ended = db().one("session_delete", session_id=reference, **bearer.parameters())
    if ended is None:
        raise InvalidToken
    if not ended["was_there"]:
        raise NoSuchSession
    audit.details(ended=str(reference), revoked=1)
    answer = json_response(Unit())
    return cookies.expire_refresh_cookie(answer) if reference == bearer.session_reference else answer


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
