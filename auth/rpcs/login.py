"""passwordLogin: a username and a password become a session."""

from contextlib import suppress
from html import escape
from typing import TypeVar

from flask import Blueprint

from auth import lockout
from auth.core import errors, limits, passwords, refresh_tokens
from auth.core.models import OptionalAuthenticationTokens as Tokens
from auth.core.models import PasswordLoginRequest
from auth.core.second_factor_models import LoginContinues
from auth.db import Row
from auth.http import cookies
from auth.http.request import Request
from auth.http.responses import HTML, Response
from auth.http.rpc import PUBLIC, Rpc

blueprint = Blueprint("login", __name__)

SCOPES = ["all:write"]
PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Logging in</title>\
<meta http-equiv="refresh" content="0; url={0}"></head>\
<body><p>You are logged in. <a href="{0}">Continue</a></p></body></html>
"""

Model = TypeVar("Model", Tokens, LoginContinues)


@Rpc(blueprint, "passwordLogin", "POST /auth/login", PUBLIC, event="login")
def password_login(request: Request, form: PasswordLoginRequest) -> Tokens | LoginContinues | Response:
    cookies.check_origin(request, may_be_absent=True)
    passwords.check_length(form.password)
    refresh_token = refresh_tokens.generate()
    names = {"username": form.username, "service": form.service}
    login = request.live_row("login_find", errors.UnknownLoginService, address=request.client_address, **names)
    request.set_principal(login["id"])
    with lockout.attempt(request, login):
        matches, new_hash = request.hashed(passwords.verify, form.password, login["password_hash"])
        if not matches:
            raise errors.IncorrectCredentials
        if login["two_factor_authentication"]:
            return _ask_for_code(request, login, new_hash)
        access_token = start_session(request, login, refresh_token, new_hash=new_hash, step=None, recovery_hash=None)
    return answer(request, login, access_token, refresh_token)


def start_session(request: Request, login: Row, refresh_token: str, **verified: object) -> str:
    """Store the session and sign its access token at once: a later call may end the session and be answered."""
    user_agent = request.header("User-Agent").replace("\0", "")[: limits.USER_AGENT_CHARACTERS] or None
    client = {"user_agent": user_agent, "ip_address": request.client_address}
    grant = {"token_hash": refresh_tokens.digest(refresh_token), "scopes": SCOPES, "sessions": limits.SESSIONS}
    values = {**login, **verified, **client, **grant, "access_token_lifetime_ms": limits.ACCESS_TOKEN_MS}
    # No row: the person was disabled, deleted or given a new password meanwhile.
    session = request.live_row("session_insert", errors.IncorrectCredentials, **values)
    reference = str(session["public_session_reference"])
    request.set_principal(login["id"], reference)
    return request.tokens.mint(login | session, SCOPES, limits.ACCESS_TOKEN_MS, publicSessionReference=reference)


def answer(request: Request, login: Row, access_token: str, refresh_token: str) -> Tokens | Response:
    """Purge some expired rows, and answer with the tokens of the new session."""
    with suppress(errors.DatabaseUnavailable):  # the next login will purge
        request.db.one("expired_delete", batch=limits.PURGE_ROWS, claim_days=limits.CLAIM_DAYS)
    visible = refresh_token if login["mode"] == "APPLICATION" else None
    cookies.set_refresh_cookie(request, refresh_token, login["refresh_token_ttl_seconds"])
    return _hand_over(request, login, Tokens(access_token, refresh_tokens.csrf_token(refresh_token), visible))


def _ask_for_code(request: Request, login: Row, new_hash: str | None) -> LoginContinues | Response:
    request.details["secondFactor"] = "asked"
    if new_hash:
        request.db.run("password_rehash", new_hash=new_hash, **login)
    return _hand_over(request, login, LoginContinues(request.config.second_factor_keys.login_challenge(login)))


def _hand_over(request: Request, login: Row, model: Model) -> Model | Response:
    """The model, or a page that leads to the endpoint. It is no redirect, since some browsers drop its cookies."""
    if "application/json" in request.header("Accept").lower():
        return model
    cookies.set_auth_state_cookie(request, model)
    target = escape(login["endpoint"].replace('"', "%22").replace("'", "%27"))
    policy = "default-src 'none'; frame-ancestors 'none'"
    headers = {"Content-Security-Policy": policy, "Referrer-Policy": "no-referrer", **HTML}
    return Response(PAGE.format(target).encode(), headers)
