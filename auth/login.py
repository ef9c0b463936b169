"""passwordLogin: a username and a password become a session."""

from contextlib import suppress
from functools import partial
from html import escape

from flask import Blueprint, Response, request
from msgspec import Struct

from . import audit, cookies, lockout, passwords, refresh_tokens
from .clients import client_address, user_agent
from .current import db, tokens
from .db import Row
from .errors import DatabaseUnavailable, IncorrectCredentials, InvalidRequest, UnknownLoginService
from .limits import ACCESS_TOKEN_MS, CLAIM_DAYS, PASSWORD_BYTES, PURGE_ROWS
from .models import OptionalAuthenticationTokens, PasswordLoginRequest
from .responses import json_response
from .rpc import PUBLIC, Rpc
from .scopes import ALL_WRITE
from .tokens import Grant

blueprint = Blueprint("login", __name__)

PASSWORD_LOGIN = Rpc(
    name="passwordLogin",
    method="POST",
    path="/auth/login",
    roles=PUBLIC,
    credential="password",
    event="login",
    form=PasswordLoginRequest,
    response=OptionalAuthenticationTokens,
    errors=(400, 401, 413, 415, 429, 503),
)


class NewSession(Struct):
    """What a login made: the tokens, and what the browser is to be told."""

    tokens: OptionalAuthenticationTokens
    refresh_token: str
    ttl_seconds: int | None
    endpoint: str


@PASSWORD_LOGIN.register(blueprint)
def password_login(form: PasswordLoginRequest) -> Response:
    cookies.refuse_untrusted_origin()
    if len(form.password.encode()) > PASSWORD_BYTES:
        raise InvalidRequest(f"The password must have 1 to {PASSWORD_BYTES} bytes.")
    with lockout.attempt(form.username, partial(_find, form)) as login:
        _verify(form.password, login)
        session = _new_session(login)
    _purge()
    return _answer(session)


def _find(form: PasswordLoginRequest, **limits: object) -> Row:
    """The row of `login_find`, whose user the log then names. Raises `UnknownLoginService`."""
    login = db().one("login_find", username=form.username, service=form.service, **limits)
    if login is None:
        raise UnknownLoginService
    audit.who(login["id"])
    return login


def _verify(password: str, login: Row) -> None:
    matches, new_hash = passwords.verify(password, login["password_hash"])
    if not matches:
        raise IncorrectCredentials
    if new_hash is not None:
        db().run("principal_rehash", id=login["id"], old_hash=login["password_hash"], new_hash=new_hash)


def _new_session(login: Row) -> NewSession:
    refresh_token = refresh_tokens.generate()
    ttl_seconds = login["refresh_token_ttl_seconds"]
    scopes = [str(ALL_WRITE)]
    session = db().one(
        "session_insert",
        token_hash=refresh_tokens.digest(refresh_token),
        principal_id=login["id"],
        password_generation=login["password_generation"],
        scopes=scopes,
        access_token_lifetime_ms=ACCESS_TOKEN_MS,
        ttl_seconds=ttl_seconds,
        ip_address=client_address(),
        user_agent=user_agent(),
    )
    if session is None:  # disabled, deleted or given a new password while we were hashing
        raise IncorrectCredentials
    audit.who(login["id"], session["public_session_reference"])
    access_token = tokens().mint(login, Grant(scopes, ACCESS_TOKEN_MS, session["public_session_reference"]))
    visible = refresh_token if login["mode"] == "APPLICATION" else None
    answer = OptionalAuthenticationTokens(access_token, refresh_tokens.csrf_token(refresh_token), visible)
    return NewSession(answer, refresh_token, ttl_seconds, login["endpoint"])


def _purge() -> None:
    with suppress(DatabaseUnavailable):  # the next login will do it
        db().one("expired_delete", batch=PURGE_ROWS, claim_days=CLAIM_DAYS)


def _answer(session: NewSession) -> Response:
    if "application/json" in request.headers.get("Accept", "").lower():
        response = json_response(session.tokens)
    else:
        response = _hand_over_page(session.endpoint)
        cookies.set_auth_state_cookie(response, session.tokens)
    cookies.set_refresh_cookie(response, session.refresh_token, session.ttl_seconds)
    return response


def _hand_over_page(endpoint: str) -> Response:
    """A page that sends the browser on: some browsers drop cookies that come with a redirect status."""
    target = escape(endpoint.replace('"', "%22").replace("'", "%27"))
    page = (
        "<!DOCTYPE html>\n"
        '<html lang="en"><head><meta charset="utf-8"><title>Logging in</title>'
        f'<meta http-equiv="refresh" content="0; url={target}"></head>'
        f'<body><p>You are logged in. <a href="{target}">Continue</a></p></body></html>\n'
    )
    response = Response(page, mimetype="text/html")
    response.headers["Content-Security-Policy"] = "default-src 'none'; frame-ancestors 'none'"
    response.headers["Referrer-Policy"] = "no-referrer"
    return response
