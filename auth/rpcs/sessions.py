"""listUserSessions, invalidateSessions and invalidateSession: people see and end their own logins."""

from typing import Final

from flask import Blueprint

from auth.core.claims import Bearer
from auth.core.errors import NoSuchSession
from auth.core.models import Page, PageRequest, Session, Unit
from auth.http import cookies
from auth.http.reading import page_of, reference
from auth.http.request import Request
from auth.http.rpc import END_USERS, READ, WRITE, rpc

BATCH: Final = 2_000  # sessions that one statement ends, well within its time

blueprint = Blueprint("sessions", __name__)


@rpc(blueprint, "listUserSessions", "GET /auth/sessions", END_USERS, READ, own_session=True)
def list_user_sessions(request: Request, bearer: Bearer, query: PageRequest) -> Page[Session]:
    return page_of(request, "session_list", bearer, query, lambda row: Session.of(row, bearer.session_reference))


@rpc(blueprint, "invalidateSessions", "DELETE /auth/sessions", END_USERS, WRITE, event="revocation", own_session=True)
def invalidate_sessions(request: Request, bearer: Bearer) -> Unit:
    request.record.details["revoked"], more = 0, True
    while more:
        ended = request.live_row("session_delete_all", batch=BATCH, **bearer.parameters())
        request.record.details["revoked"] += ended["revoked"]
        more = ended["more"]
    cookies.expire_refresh_cookie(request)
    return Unit()


@rpc(
    blueprint, "invalidateSession", "DELETE /auth/sessions/<session_id>", END_USERS, WRITE,
    event="revocation", own_session=True,
)  # fmt: skip
def invalidate_session(request: Request, bearer: Bearer, session_id: str) -> Unit:
    ended = reference(session_id, NoSuchSession)
    if not request.live_row("session_delete", session_id=ended, **bearer.parameters())["was_there"]:
        raise NoSuchSession
    request.record.details |= {"ended": session_id, "revoked": 1}
    if ended == bearer.session_reference:
        cookies.expire_refresh_cookie(request)
    return Unit()
