"""The second factor: users set it up, log in with its codes and remove it."""

from typing import Any

import segno
from flask import Blueprint

from auth import lockout
from auth.core import errors, passwords, refresh_tokens, second_factor
from auth.core import second_factor_models as models
from auth.core.claims import Bearer
from auth.core.models import OptionalAuthenticationTokens as Tokens
from auth.core.models import Unit
from auth.core.second_factor import CODES, LoginChallenge, SetupChallenge, StoredSecret
from auth.db import Row
from auth.http import cookies
from auth.http.request import Request
from auth.http.responses import Response
from auth.http.rpc import PUBLIC, RPCS, USERS, Rpc
from auth.rpcs import login
from auth.rpcs.passwords import change, check_password, find_person

blueprint = Blueprint("second_factor", __name__)

CREATE = "twofactor.createCredentials"
REMOVAL = "second factor removal"  # the event


@Rpc(blueprint, CREATE, "POST /auth/2fa", USERS, own_session=True, restricted=True)
def create_credentials(request: Request, bearer: Bearer) -> models.Create2FACredentialsResponse:
    """Stores nothing: the challenge holds the new factor until it is confirmed."""
    person, keys = _person_without_factor(request, bearer), request.config.second_factor_keys
    secret, recovery_code = second_factor.generate_secret(), second_factor.generate_recovery_code()
    seconds, recovery_hash = person["session_seconds"], second_factor.recovery_hash(recovery_code)
    password_needed = seconds is None or seconds > second_factor.RECENT_SECONDS
    owner = (person["uid"], person["password_generation"], str(bearer.session_reference))
    challenge = keys.seal(SetupChallenge(*owner, secret, recovery_hash, password_needed))
    uri = second_factor.otp_auth_uri(secret, request.config.issuer, person["id"])
    with passwords.queue:  # a QR code takes as long as a hash
        qr_code = request.hashed(lambda: segno.make(uri, micro=False).png_data_uri(scale=5))
    return models.Create2FACredentialsResponse(uri, qr_code, secret, challenge, recovery_code, password_needed)


@Rpc(blueprint, "twofactor.answerChallenge", "POST /auth/2fa/challenge", PUBLIC, event="second factor")
def answer_challenge(request: Request, body: models.AnswerChallengeRequest) -> Tokens | Unit | Response:
    cookies.check_origin(request, may_be_absent=True)
    challenge = request.config.second_factor_keys.open_challenge(body.challenge_id)
    if isinstance(challenge, LoginChallenge):
        return _log_in(request, challenge, body.verification_code)
    return _confirm(request, challenge, body)


@Rpc(blueprint, "twofactor.twoFactorStatus", "GET /auth/2fa/status", USERS, own_session=True, restricted=True)
def two_factor_status(request: Request, bearer: Bearer) -> models.TwoFactorStatus:
    return models.TwoFactorStatus(request.live_row("bearer_find", **bearer.parameters())["two_factor_authentication"])


@Rpc(blueprint, "twofactor.removeCredentials", "POST /auth/2fa/remove", USERS, REMOVAL, own_session=True)
def remove_credentials(request: Request, bearer: Bearer, body: models.Remove2FARequest) -> None:
    person = find_person(request, bearer)
    if not person["two_factor_authentication"]:
        raise models.SecondFactorNotConnected
    with lockout.attempt(request, person):
        check_password(request, person, body.current_password)
        spent = _checked(request, person, body.verification_code)
        change(request, "second_factor_delete", person, bearer, models.IncorrectCode, **spent)


def _log_in(request: Request, challenge: LoginChallenge, code: str | int) -> Tokens | Response:
    names = {"username": challenge.username, "service": challenge.service}
    person = request.db.one("login_find", address=request.client_address, **names)
    generation = (challenge.uid, challenge.password_generation)
    if person is None or (person["uid"], person["password_generation"]) != generation:
        raise models.InvalidChallenge
    request.set_principal(person["id"])
    refresh_token = refresh_tokens.generate()
    with lockout.attempt(request, person, hashes=False):
        spent = _checked(request, person, code)
        try:
            access_token = login.start_session(request, person, refresh_token, new_hash=None, **spent)
        except errors.IncorrectCredentials:  # the code was used meanwhile, or the person changed
            raise models.IncorrectCode from None
    return login.answer(request, person, access_token, refresh_token)


def _confirm(request: Request, setup: SetupChallenge, body: models.AnswerChallengeRequest) -> Unit:
    bearer = RPCS[CREATE].admitted(request)
    if (setup.uid, setup.session) != (bearer.uid, str(bearer.session_reference)):
        raise errors.InvalidToken
    person, keys = _person_without_factor(request, bearer), request.config.second_factor_keys
    if person["password_generation"] != setup.password_generation:
        raise models.InvalidChallenge
    if setup.password_needed and body.current_password is None:
        raise models.PasswordNeeded
    with lockout.attempt(request, person, hashes=setup.password_needed):
        if setup.password_needed:
            check_password(request, person, body.current_password or "")
        step = second_factor.matching_step(setup.secret, body.verification_code)
        if step is None:
            raise models.IncorrectCode
        factor = {"secret": keys.seal(StoredSecret(setup.uid, setup.secret)), "recovery_hash": setup.recovery_hash}
        change(request, "second_factor_insert", person, bearer, models.InvalidChallenge, step=step, **factor)
    request.details["added"] = True
    return Unit()


def _person_without_factor(request: Request, bearer: Bearer) -> Row:
    person = find_person(request, bearer)
    if person["two_factor_authentication"]:
        raise models.SecondFactorConnected
    return person


def _checked(request: Request, person: Row, code: str | int) -> dict[str, Any]:
    """The parameters of the statement that spends the code. It still has to compare the hash of a recovery code."""
    if not second_factor.is_one_time_code(code):
        request.details["recovery"] = True
        return {"step": None, "recovery_hash": second_factor.recovery_hash(str(code))}
    factor = request.live_row("second_factor_attempt", models.InvalidChallenge, id=person["id"], codes=CODES)
    if factor["is_blocked"]:
        raise models.SecondFactorBlocked
    try:
        secret = request.config.second_factor_keys.open_secret(factor["secret"], person["uid"])
    except models.SecondFactorUnavailable:
        request.db.run("second_factor_uncount", id=person["id"], secret=factor["secret"])
        raise
    step = second_factor.matching_step(secret, code)
    if step is None:
        raise models.IncorrectCode
    return {"step": step, "recovery_hash": None}
