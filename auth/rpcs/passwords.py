"""changePassword and resetPassword: users replace their passwords."""

from typing import Any

from flask import Blueprint

from auth import lockout
from auth.core import errors, models, password_rules, passwords, refresh_tokens
from auth.core.claims import Bearer
from auth.db import Row
from auth.http.request import Request
from auth.http.rpc import PUBLIC, USERS, Rpc

blueprint = Blueprint("passwords", __name__)


@Rpc(blueprint, "changePassword", "POST /auth/password", USERS, "password change", own_session=True)
def change_password(request: Request, bearer: Bearer, body: models.ChangePasswordRequest) -> None:
    person = find_person(request, bearer)
    password_rules.check(body.new_password, *person["own_texts"])
    with lockout.attempt(request, person):
        check_password(request, person, body.current_password)
        new = {"password_hash": request.hashed(passwords.hash_password, body.new_password)}
        change(request, "password_change", person, bearer, errors.IncorrectCredentials, **new)
        request.db.run("principal_mark_ended", id=person["id"])


@Rpc(blueprint, "resetPassword", "POST /auth/password/reset", PUBLIC, event="password reset")
def reset_password(request: Request, body: models.ResetPasswordRequest) -> None:
    token_hash = refresh_tokens.digest(body.reset_token)
    person = request.live_row("password_reset_find", reset_token_hash=token_hash)
    request.set_principal(person["id"])
    password_rules.check(body.new_password, *person["own_texts"])
    with passwords.queue:
        password_hash = request.hashed(passwords.hash_password, body.new_password)
        request.live_row("password_reset", password_hash=password_hash, reset_token_hash=token_hash)
        request.db.run("principal_mark_ended", id=person["id"])


def find_person(request: Request, bearer: Bearer) -> Row:
    """The bearer's row of `password_find`. Raises `InvalidToken` when the grant has ended, and `NoPassword`."""
    person = request.live_row("password_find", address=request.client_address, **bearer.parameters())
    if person["password_hash"] is None:
        raise errors.NoPassword
    return person


def check_password(request: Request, person: Row, password: str) -> None:
    passwords.check_length(password)
    matches, _ = request.hashed(passwords.verify, password, person["password_hash"])
    if not matches:
        raise errors.IncorrectCredentials


def change(
    request: Request, statement: str, person: Row, bearer: Bearer, refusal: type[errors.ApiError], **values: Any
) -> None:
    """Run the statement for the person as found. Raises `refusal` if another change came first."""
    try:
        request.live_row(statement, password_generation=person["password_generation"], **values, **bearer.parameters())
    except errors.InvalidToken:
        request.live_row("bearer_find", **bearer.parameters())  # the grant may have ended
        raise refusal from None
