"""listUserSessions, invalidateSessions and invalidateSession: users list and end their own sessions."""

from flask import Blueprint

from auth.core.claims import Bearer
from auth.core.errors import NoSuchSession
from auth.core.models import Page, PageRequest, Session
from auth.http import cookies
from auth.http.own_tokens import end_one, page_of
from auth.http.request import Request
from auth.http.rpc import END_USERS, Rpc

blueprint = Blueprint("sessions", __name__)


@Rpc(blueprint, "listUserSessions", "GET /auth/sessions", END_USERS, own_session=True)
def list_user_sessions(request: Request, bearer: Bearer, query: PageRequest) -> Page[Session]:
    return page_of(request, "session_list", bearer, query, Session)


@Rpc(blueprint, "invalidateSessions", "DELETE /auth/sessions", END_USERS, "revocation", own_session=True)
def invalidate_sessions(request: Request, bearer: Bearer) -> None:
    request.live_row("session_delete_all", **bearer.parameters())
    cookies.expire_refresh_cookie(request)


@Rpc(blueprint, "invalidateSession", "DELETE /auth/sessions/<session_id>", END_USERS, "revocation", own_session=True)
def invalidate_session(request: Request, bearer: Bearer, session_id: str) -> None:
    end_one(request, "session_delete", bearer, session_id, NoSuchSession)
    if session_id == str(bearer.session_reference):
        cookies.expire_refresh_cookie(request)
