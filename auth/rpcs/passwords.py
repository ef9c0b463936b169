"""changePassword and resetPassword: users replace their passwords."""

from typing import Any

from flask import Blueprint

from auth import lockout
from auth.core import errors, models, password_rules, passwords, refresh_tokens
from auth.core.claims import Bearer
from auth.http.request import Request
from auth.http.rpc import PUBLIC, USERS, Rpc

blueprint = Blueprint("passwords", __name__)


@Rpc(blueprint, "changePassword", "POST /auth/password", USERS, "password change", own_session=True)
def change_password(request: Request, bearer: Bearer, body: models.ChangePasswordRequest) -> None:
    passwords.check_length(body.current_password)
    person = request.live_row("password_find", address=request.client_address, **bearer.parameters())
    if person["password_hash"] is None:
        raise errors.NoPassword
    password_rules.check(body.new_password, *person["own_texts"])
    with lockout.attempt(request, person):
        matches, _ = request.hashed(passwords.verify, body.current_password, person["password_hash"])
        if not matches:
            raise errors.IncorrectCredentials
        parameters = {"password_generation": person["password_generation"], **bearer.parameters()}
        try:
            _replace(request, "password_change", body.new_password, **parameters)
        except errors.InvalidToken:
            request.live_row("bearer_find", **bearer.parameters())  # the grant may have ended
            raise errors.IncorrectCredentials from None  # another change came first


@Rpc(blueprint, "resetPassword", "POST /auth/password/reset", PUBLIC, event="password reset")
def reset_password(request: Request, body: models.ResetPasswordRequest) -> None:
    token_hash = refresh_tokens.digest(body.reset_token)
    person = request.live_row("password_reset_find", reset_token_hash=token_hash)
    request.set_principal(person["id"])
    password_rules.check(body.new_password, *person["own_texts"])
    with passwords.queue:
        _replace(request, "password_reset", body.new_password, reset_token_hash=token_hash)


def _replace(request: Request, statement: str, new_password: str, **parameters: Any) -> None:
    """Set the password by the statement, which ends the person's other tokens. Raises `InvalidToken` without a row."""
    password_hash = request.hashed(passwords.hash_password, new_password)
    changed = request.live_row(statement, password_hash=password_hash, **parameters)
    request.db.run("principal_mark_ended", id=changed["id"])
