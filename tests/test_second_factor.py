"""The second factor: set-up, logins with its codes, recovery, removal, and the roles that need it."""

import base64
import json
import re
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

import psycopg
import pytest
from cryptography.fernet import Fernet
from flask import Flask

from auth.config import Config
from auth.core import passwords
from auth.core.models import Role
from auth.core.second_factor import SecondFactorKeys, StoredSecret

from .support.api import COOKIE, Answer, Api, any_address, send_to_app
from .support.command_line import CommandLine
from .support.lockouts import locked, pair_key, pass_time
from .support.qr_codes import read_qr_code
from .support.second_factor import (
    Authenticator,
    Owner,
    add_factor,
    block_factor,
    challenge_of,
    factor_row,
    forget_steps,
    make_older,
    new_owner,
    sessions_of,
)
from .support.world import ORIGIN, PASSWORD, QUICK_HASH, Stored, World, claims

NEW_PASSWORD = "an altogether different phrase"
RESTRICTED = ["auth.twofactor:write", "sla:write"]

Deploy = Callable[[Config], Flask]


@pytest.fixture
def requiring(deploy: Deploy, config: Config, address: str) -> Api:
    """The service where users need a second factor."""
    return Api(send_to_app(deploy(replace(config, second_factor_required=frozenset({"USER"}))), address))


# Setting up


def test_a_person_sets_a_factor_up_and_logs_in_with_it(api: Api, world: World, service: str) -> None:
    owner = new_owner(api, world)
    answer = api.answer_challenge(challenge_of(api, owner.id, service), owner.app.code())
    tokens = answer.ok()
    assert set(tokens) == {"accessToken", "csrfToken", "refreshToken"}
    assert answer.cookies[COOKIE].value == tokens["refreshToken"]
    assert api.sessions(tokens["accessToken"]).ok()["itemsInTotal"] == 2
    assert api.refresh(tokens["refreshToken"]).status == 200


def test_what_an_app_needs(api: Api, world: World, config: Config) -> None:
    session = world.session()
    made = api.create_credentials(session.access_token).ok()
    assert set(made) == {"otpAuthUri", "qrCodeB64Data", "secret", "challengeId", "recoveryCode", "passwordNeeded"}
    assert len(base64.b32decode(made["secret"])) == 20
    assert re.fullmatch("[A-Z2-7]{6}(-[A-Z2-7]{6}){3}", made["recoveryCode"])
    uri = urlsplit(made["otpAuthUri"])
    asked = parse_qs(uri.query)
    assert (uri.scheme, uri.netloc, unquote(uri.path)) == ("otpauth", "totp", f"/{config.issuer}:{session.id}")
    assert (asked["secret"], asked["issuer"]) == ([made["secret"]], [config.issuer])
    assert (asked["algorithm"], asked["digits"], asked["period"]) == (["SHA1"], ["6"], ["30"])
    assert read_qr_code(made["qrCodeB64Data"]) == made["otpAuthUri"]
    again = api.create_credentials(session.access_token).ok()
    assert not {made[name] for name in ("secret", "recoveryCode", "challengeId")} & set(again.values())


def test_an_id_of_any_length_has_a_qr_code(api: Api, world: World, deploy: Deploy) -> None:
    for letter in ("x", "😀"):
        user = letter * 255
        row = {"first_names": "A", "last_name": "B", "email": None, "org_id": None, "password_hash": "x"}
        world.db.one("principal_insert", id=user, role="USER", principal_type="password", **row)
        made = api.create_credentials(world.session(user).access_token).ok()
        assert (quote(user) in made["otpAuthUri"]) is (letter == "x")
        assert read_qr_code(made["qrCodeB64Data"]) == made["otpAuthUri"]


@pytest.mark.parametrize("media_type", [None, "application/json", "text/plain", "application/x-www-form-urlencoded"])
def test_the_request_for_credentials_is_empty(api: Api, world: World, media_type: str | None) -> None:
    assert api.call("POST", "/auth/2fa", world.session().access_token, data=b"", Content_Type=media_type).status == 200


def test_nothing_changes_before_a_set_up_is_confirmed(
    api: Api, world: World, service: str, database_url: str
) -> None:  # fmt: skip
    session = world.session()
    other = world.session(session.id)
    api.create_credentials(session.access_token).ok()
    assert factor_row(database_url, session.id) == (False, None)
    assert api.two_factor_status(session.access_token).ok() == {"connected": False}
    assert set(api.login(session.id, PASSWORD, service).ok()) == {"accessToken", "csrfToken", "refreshToken"}
    assert api.refresh(other.refresh_token).status == 200


def test_only_the_session_that_asked_confirms(api: Api, world: World) -> None:
    session = world.session()
    other, stranger = world.session(session.id), world.session()
    made = api.create_credentials(session.access_token).ok()
    code = Authenticator(made["secret"]).code()
    for bearer in (None, other.access_token, stranger.access_token, "x", world.service().access_token):
        api.answer_challenge(made["challengeId"], code, bearer).refused(401)
    narrowed = world.access_token(session.id, ["auth.twofactor:write"])
    api.answer_challenge(made["challengeId"], code, narrowed).refused(403, "SESSION_TOKEN_NEEDED")
    assert api.two_factor_status(session.access_token).ok() == {"connected": False}
    api.answer_challenge(made["challengeId"], code, session.access_token).ok()
    assert api.two_factor_status(session.access_token).ok() == {"connected": True}


def test_a_set_up_ends_all_other_sessions_and_no_delegation(api: Api, world: World) -> None:
    session, service = world.session(), world.service("files:read")
    others = [world.session(session.id) for _ in range(3)]
    made = api.extend(service.access_token, others[0].access_token, "files:read", refreshes=True).ok()
    plain = api.extend(service.access_token, others[0].access_token, "files:read").ok()
    add_factor(api, session)
    for other in others:
        api.refresh(other.refresh_token).refused(401, "INVALID_TOKEN")
        api.sessions(other.access_token).refused(401, "INVALID_TOKEN")
    assert api.sessions(session.access_token).ok()["itemsInTotal"] == 1
    for token in (made["refreshToken"], session.refresh_token):
        assert api.refresh(token).status == 200
    api.claim(service.access_token, plain["accessToken"][-30:]).ok()


def test_a_person_has_one_factor(api: Api, world: World) -> None:
    session = world.session()
    first, second = (api.create_credentials(session.access_token).ok() for _ in range(2))
    api.answer_challenge(first["challengeId"], Authenticator(first["secret"]).code(), session.access_token).ok()
    code = Authenticator(second["secret"]).code()
    api.create_credentials(session.access_token).refused(400, "SECOND_FACTOR_CONNECTED")
    api.answer_challenge(second["challengeId"], code, session.access_token).refused(400, "SECOND_FACTOR_CONNECTED")


def test_a_person_without_a_password_has_no_second_factor(api: Api, world: World) -> None:
    token = world.session(world.user(password=None)).access_token
    api.create_credentials(token).refused(403, "NO_PASSWORD")
    api.remove_credentials(token, PASSWORD, "123456").refused(403, "NO_PASSWORD")
    assert api.two_factor_status(token).ok() == {"connected": False}


def test_an_older_session_needs_the_password(api: Api, world: World, database_url: str) -> None:
    session = world.session()
    make_older(database_url, session, 14 * 60)
    assert api.create_credentials(session.access_token).ok()["passwordNeeded"] is False
    make_older(database_url, session, 61)
    made = api.create_credentials(session.access_token).ok()
    assert made["passwordNeeded"] is True
    code, challenge, bearer = Authenticator(made["secret"]).code(), made["challengeId"], session.access_token
    refusal = api.answer_challenge(challenge, code, bearer).refused(403, "PASSWORD_NEEDED")
    assert "log in again" in refusal.json["why"].lower()
    api.answer_challenge(challenge, code, bearer, "wrong").refused(401, "INCORRECT_CREDENTIALS")
    assert factor_row(database_url, session.id) == (False, None)
    api.answer_challenge(challenge, code, bearer, PASSWORD).ok()


def test_the_age_of_the_session_counts_when_it_asked(api: Api, world: World, database_url: str) -> None:
    session = world.session()
    made = api.create_credentials(session.access_token).ok()
    make_older(database_url, session, 60 * 60)
    api.answer_challenge(made["challengeId"], Authenticator(made["secret"]).code(), session.access_token).ok()


def test_wrong_passwords_and_codes_of_a_set_up_count_as_logins(
    api: Api, world: World, service: str, database_url: str
) -> None:
    session = world.session()
    make_older(database_url, session, 3600)
    made = api.create_credentials(session.access_token).ok()
    app, bearer = Authenticator(made["secret"]), session.access_token
    for _ in range(3):
        api.answer_challenge(made["challengeId"], app.code(), bearer, "wrong").refused(401, "INCORRECT_CREDENTIALS")
    for _ in range(2):
        api.answer_challenge(made["challengeId"], app.wrong_code(), bearer, PASSWORD).refused(401, "INCORRECT_CODE")
    locked(api.answer_challenge(made["challengeId"], app.code(), bearer, PASSWORD))
    locked(api.login(session.id, PASSWORD, service))


def test_a_set_up_is_void_after_another_change(api: Api, world: World, flask: CommandLine) -> None:
    session = world.session()
    made = api.create_credentials(session.access_token).ok()
    api.change_password(session.access_token, PASSWORD, NEW_PASSWORD).ok()
    code = Authenticator(made["secret"]).code()
    api.answer_challenge(made["challengeId"], code, session.access_token).refused(401, "INVALID_CHALLENGE")
    assert api.two_factor_status(session.access_token).ok() == {"connected": False}


def test_the_code_of_a_set_up_is_spent(api: Api, world: World, service: str) -> None:
    session = world.session()
    made = api.create_credentials(session.access_token).ok()
    app = Authenticator(made["secret"])
    code = app.code(1)
    api.answer_challenge(made["challengeId"], code, session.access_token).ok()
    challenge = challenge_of(api, session.id, service)
    for spent in (code, app.code(), app.code(-1)):
        api.answer_challenge(challenge, spent).refused(401, "INCORRECT_CODE")


# Logging in


def test_a_right_password_alone_makes_no_session(api: Api, world: World, service: str, database_url: str) -> None:
    owner = new_owner(api, world)
    answer = api.login(owner.id, PASSWORD, service)
    assert set(answer.ok()) == {"2fa"}
    assert not answer.cookies
    assert sessions_of(database_url, owner.id) == 1


def test_a_browsers_form_gets_the_challenge_in_authstate(api: Api, world: World, database_url: str) -> None:
    owner, service = new_owner(api, world), world.login_service(mode="WEB", endpoint="https://cloud.example.org/app")
    answer = api.login(owner.id, PASSWORD, service, Accept="text/html")
    assert answer.status == 200
    assert answer.header("Content-Type") == "text/html; charset=utf-8"
    assert b"https://cloud.example.org/app" in answer.body
    assert set(answer.cookies) == {"authState"}
    challenge = json.loads(unquote(answer.cookies["authState"].value))["2fa"]
    assert answer.cookies["authState"]["httponly"] == ""
    page = api.answer_challenge(challenge, owner.app.code(), Accept="text/html")
    assert (page.status, b"https://cloud.example.org/app" in page.body) == (200, True)
    assert set(page.cookies) == {"authState", COOKIE}
    state = json.loads(unquote(page.cookies["authState"].value))
    assert state["refreshToken"] is None
    assert api.web_refresh(page.cookies[COOKIE].value, state["csrfToken"], ORIGIN).status == 200


def test_a_wrong_password_is_answered_alike(api: Api, world: World, service: str) -> None:
    with_factor, without = new_owner(api, world).id, world.user()
    answers = [
        api.login(user, "wrong", service).refused(401, "INCORRECT_CREDENTIALS") for user in (with_factor, without)
    ]
    assert answers[0].body == answers[1].body


def test_an_answer_is_checked_for_its_origin(api: Api, world: World, service: str) -> None:
    owner = new_owner(api, world)
    challenge = challenge_of(api, owner.id, service)
    for origin in ("https://evil.example", "null"):
        answer = api.answer_challenge(challenge, owner.app.code(), Origin=origin)
        assert not answer.refused(400, "UNTRUSTED_ORIGIN").cookies
    assert api.answer_challenge(challenge, owner.app.code(), Origin=ORIGIN).status == 200


def test_a_challenge_may_be_tried_again_after_a_wrong_code(api: Api, world: World, service: str) -> None:
    owner = new_owner(api, world)
    challenge = challenge_of(api, owner.id, service)
    answer = api.answer_challenge(challenge, owner.app.wrong_code()).refused(401, "INCORRECT_CODE")
    assert not answer.cookies
    assert api.answer_challenge(challenge, owner.app.code()).status == 200


def test_an_old_kind_of_hash_is_replaced_before_the_code(api: Api, world: World, service: str) -> None:
    owner = new_owner(api, world, password_hash=QUICK_HASH)
    challenge_of(api, owner.id, service)
    assert world.password_hash(owner.id).startswith("$argon2id$")


@pytest.mark.parametrize(
    "spelling",
    [
        lambda code: code,
        lambda code: f"  {code}\t",
        int,
        lambda code: f" {code[:3]} {code[3:]} ",
    ],
    ids=["text", "spaces", "number", "as an app shows it"],
)
def test_the_spellings_of_a_code(
    api: Api, world: World, service: str, database_url: str, config: Config, spelling: Callable[[str], Any]
) -> None:
    """A code sent as a JSON number has no leading zeros."""
    owner = new_owner(api, world)
    app = next(
        app
        for number in range(10_000)
        if (app := Authenticator(base64.b32encode(b"%020d" % number).decode())).code()[0] == "0" == app.code(1)[0]
    )
    give_secret(config, world, database_url, owner.id, app.secret)
    assert api.answer_challenge(challenge_of(api, owner.id, service), spelling(app.code())).status == 200


def give_secret(config: Config, world: World, database_url: str, user: str, secret: str) -> None:
    """Store that secret as the person's."""
    sealed = config.second_factor_keys.seal(StoredSecret(world.principal(user)["uid"], secret))
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE second_factor SET secret = %s WHERE principal_id = %s", [sealed, user])


@pytest.mark.parametrize(
    "code", ["", "12345", "1234567", "abcdef", "١٢٣٤٥٦", 1234567, 10**400, "1" * 100, "\x00", "--", "😀"]
)
def test_text_that_is_no_code(api: Api, world: World, service: str, code: Any) -> None:
    owner = new_owner(api, world)
    api.answer_challenge(challenge_of(api, owner.id, service), code).refused(401, "INCORRECT_CODE")


@pytest.mark.parametrize("code", [None, True, 1.5, -1, [], {}, "1" * 101])
def test_values_that_are_no_code(api: Api, world: World, service: str, code: Any) -> None:
    owner = new_owner(api, world)
    api.answer_challenge(challenge_of(api, owner.id, service), code).refused(400, "INVALID_REQUEST")
    api.remove_credentials(owner.session.access_token, PASSWORD, code).refused(400, "INVALID_REQUEST")


@pytest.mark.parametrize(("steps", "status"), [(-2, 401), (-1, 200), (0, 200), (1, 200), (2, 401)])
def test_the_present_step_and_its_neighbours(
    api: Api, world: World, service: str, database_url: str, monkeypatch: pytest.MonkeyPatch, steps: int, status: int
) -> None:
    owner = new_owner(api, world)
    forget_steps(database_url, owner.id)
    challenge, now = challenge_of(api, owner.id, service), time.time()
    monkeypatch.setattr("auth.core.second_factor.time.time", lambda: now)
    assert api.answer_challenge(challenge, owner.app.code(steps, now)).status == status


def test_a_code_is_accepted_once_and_never_before_a_later_one(
    api: Api, world: World, service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, now = new_owner(api, world), time.time()
    monkeypatch.setattr("auth.core.second_factor.time.time", lambda: now)
    challenges = [challenge_of(api, owner.id, service) for _ in range(2)]
    api.answer_challenge(challenges[0], owner.app.code(0, now)).ok()
    for challenge in challenges:
        for steps in (0, -1):
            api.answer_challenge(challenge, owner.app.code(steps, now)).refused(401, "INCORRECT_CODE")
    api.answer_challenge(challenges[1], owner.app.code(1, now)).ok()


# The challenge


def test_a_challenge_is_good_for_ten_minutes_on_every_server(
    api: Api, world: World, service: str, deploy: Deploy, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, other = new_owner(api, world), Api(send_to_app(deploy(config), any_address()))
    challenge, now = challenge_of(api, owner.id, service), time.time()
    monkeypatch.setattr("auth.core.second_factor.time.time", lambda: now + 601.5)
    other.answer_challenge(challenge, owner.app.code(0, now + 601)).refused(401, "INVALID_CHALLENGE")
    monkeypatch.setattr("auth.core.second_factor.time.time", lambda: now + 599)
    other.answer_challenge(challenge, owner.app.code(0, now + 599)).ok()


def ends_a_challenge(name: str, api: Api, world: World, flask: CommandLine, owner: Owner) -> None:
    session = owner.session
    create = ["users", "create", owner.id, "--role", "USER", "--first-names", "A", "--last-name", "B"]
    calls: dict[str, Callable[[], Any]] = {
        "changePassword": lambda: api.change_password(session.access_token, PASSWORD, NEW_PASSWORD).ok(),
        "resetPassword": lambda: api.reset_password(
            flask.json("users", "reset-password", owner.id)["resetToken"], NEW_PASSWORD
        ).ok(),
        "set-password": lambda: flask.json("users", "set-password", owner.id, "--password-stdin", stdin=NEW_PASSWORD),
        "disable": lambda: flask.json("users", "disable", owner.id),
        "enable": lambda: flask.json("users", "enable", owner.id),
        "delete": lambda: flask.json("users", "delete", owner.id),
        "create": lambda: flask.json(*create, "--password-stdin", stdin=NEW_PASSWORD),
        "removeCredentials": lambda: api.remove_credentials(session.access_token, PASSWORD, owner.recovery_code).ok(),
        "add": lambda: add_factor(api, session),
        "reset-second-factor": lambda: flask.json("users", "reset-second-factor", owner.id),
    }
    for part in name.split(" and "):
        calls[part]()


@pytest.mark.parametrize(
    "ending",
    ["changePassword", "resetPassword", "set-password", "disable", "disable and enable", "delete", "delete and create",
     "removeCredentials", "removeCredentials and add", "reset-second-factor"],
)  # fmt: skip
def test_what_makes_a_challenge_void(
    api: Api, world: World, service: str, flask: CommandLine, ending: str
) -> None:  # fmt: skip
    owner = new_owner(api, world)
    challenge = challenge_of(api, owner.id, service)
    ends_a_challenge(ending, api, world, flask, owner)
    answer = api.answer_challenge(challenge, owner.app.code())
    assert not answer.refused(401, "INVALID_CHALLENGE").cookies


def test_any_other_text_is_no_challenge(
    api: Api, world: World, service: str, config: Config, database_url: str
) -> None:  # fmt: skip
    owner = new_owner(api, world)
    challenge = challenge_of(api, owner.id, service)
    with psycopg.connect(database_url) as connection:
        row = connection.execute("SELECT secret FROM second_factor WHERE principal_id = %s", [owner.id]).fetchone()
    assert row is not None
    foreign = Fernet(Fernet.generate_key()).encrypt(b'{"type":"login","username":"a","uid":1}').decode()
    texts = ["", "x", "é", "\x00", challenge[:-5], f"{challenge[:20]}A{challenge[21:]}", challenge.swapcase(), row[0]]
    texts += [foreign, owner.session.access_token, owner.session.refresh_token, owner.recovery_code]
    for text in texts:
        api.answer_challenge(text, owner.app.code()).refused(401, "INVALID_CHALLENGE")
    for number in (None, 1, 1.5):
        api.answer_challenge(number, owner.app.code()).refused(400, "INVALID_REQUEST")


def test_a_challenge_is_no_other_kind_of_token(api: Api, world: World, service: str) -> None:
    owner = new_owner(api, world)
    setup = api.create_credentials(world.session().access_token).ok()["challengeId"]
    for challenge in (challenge_of(api, owner.id, service), setup):
        api.sessions(challenge).refused(401)
        api.refresh(challenge).refused(401)
        api.logout(challenge).refused(401)
        api.reset_password(challenge, NEW_PASSWORD).refused(401)
        api.extend(world.service("files:read").access_token, challenge, "files:read").refused(401)
        api.login(owner.id, challenge, service).refused(401, "INCORRECT_CREDENTIALS")
        api.answer_challenge(challenge_of(api, owner.id, service), challenge[:100]).refused(401, "INCORRECT_CODE")


def test_the_challenge_of_a_set_up_logs_nobody_in(api: Api, world: World, database_url: str) -> None:
    session = world.session()
    made = api.create_credentials(session.access_token).ok()
    answer = api.answer_challenge(made["challengeId"], Authenticator(made["secret"]).code())
    assert not answer.refused(401, "INVALID_TOKEN").cookies
    assert sessions_of(database_url, session.id) == 1


def test_a_challenge_of_a_login_service_that_is_gone(api: Api, world: World, service: str, flask: CommandLine) -> None:
    owner = new_owner(api, world)
    challenge = challenge_of(api, owner.id, service)
    flask.json("login-services", "delete", service)
    api.answer_challenge(challenge, owner.app.code()).refused(401, "INVALID_CHALLENGE")


# Guesses


def test_five_wrong_codes_lock_the_login_and_the_code(
    api: Api, world: World, service: str, database_url: str, address: str
) -> None:
    owner = new_owner(api, world)
    challenge = challenge_of(api, owner.id, service)
    for _ in range(5):
        api.answer_challenge(challenge, owner.app.wrong_code()).refused(401, "INCORRECT_CODE")
    failures = factor_row(database_url, owner.id)
    locked(api.answer_challenge(challenge, owner.app.code()))
    locked(api.answer_challenge(challenge, owner.recovery_code))
    locked(api.login(owner.id, PASSWORD, service))
    assert factor_row(database_url, owner.id) == failures == (True, 5)  # no code was evaluated
    pass_time(database_url, 10, pair_key(address, owner.id))
    assert api.answer_challenge(challenge, owner.app.code()).status == 200


def test_wrong_passwords_and_wrong_codes_count_together(api: Api, world: World, service: str) -> None:
    owner = new_owner(api, world)
    challenge = challenge_of(api, owner.id, service)
    for _ in range(3):
        api.answer_challenge(challenge, owner.app.wrong_code()).refused(401, "INCORRECT_CODE")
        challenge = challenge_of(api, owner.id, service)  # a right password takes back no code
    for _ in range(2):
        api.login(owner.id, "wrong", service).refused(401)
    locked(api.answer_challenge(challenge, owner.app.code()))


def test_a_right_code_takes_its_own_count_back(api: Api, world: World, service: str, database_url: str) -> None:
    owner = new_owner(api, world)
    for _ in range(4):
        api.login(owner.id, "wrong", service).refused(401)
    for _ in range(3):
        forget_steps(database_url, owner.id)
        api.answer_challenge(challenge_of(api, owner.id, service), owner.app.code()).ok()
    api.answer_challenge(challenge_of(api, owner.id, service), owner.app.wrong_code()).refused(401)
    locked(api.login(owner.id, PASSWORD, service))


def test_only_a_password_needs_a_place_in_the_queue_of_hashes(
    api: Api, world: World, service: str, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, recent, older = new_owner(api, world), world.session(), world.session()
    make_older(database_url, older, 3600)
    challenge = challenge_of(api, owner.id, service)
    made = {session.id: api.create_credentials(session.access_token).ok() for session in (recent, older)}

    def confirm(session: Stored, password: str | None = None) -> Answer:
        code = Authenticator(made[session.id]["secret"]).code()
        return api.answer_challenge(made[session.id]["challengeId"], code, session.access_token, password)

    monkeypatch.setattr(passwords, "queue", passwords.Places(0))
    api.answer_challenge(challenge, owner.app.code()).ok()
    confirm(recent).ok()
    confirm(older, PASSWORD).refused(503, "LOGIN_BUSY")


def test_after_a_hundred_codes_without_a_right_one_the_factor_takes_none(
    app: Flask, api: Api, world: World, service: str, database_url: str
) -> None:
    """The codes may come from any network. A right code sets the count to 0."""
    owner = new_owner(api, world)
    block_factor(database_url, owner.id, 99)
    challenge = challenge_of(api, owner.id, service)
    api.answer_challenge(challenge, owner.app.code()).ok()
    assert factor_row(database_url, owner.id) == (True, 0)
    forget_steps(database_url, owner.id)
    block_factor(database_url, owner.id, 97)
    for _ in range(3):
        guesser = Api(send_to_app(app, any_address()))
        guesser.answer_challenge(challenge, owner.app.wrong_code()).refused(401, "INCORRECT_CODE")
    for _ in range(7):  # and this does not lock the login
        api.answer_challenge(challenge, owner.app.code()).refused(403, "SECOND_FACTOR_BLOCKED")
        api.remove_credentials(owner.session.access_token, PASSWORD, owner.app.code()).refused(
            403, "SECOND_FACTOR_BLOCKED"
        )


def test_whoever_has_no_password_blocks_nobody(api: Api, world: World, service: str, database_url: str) -> None:
    owner = new_owner(api, world)
    for _ in range(2):
        api.login(owner.id, "wrong", service).refused(401)
        refused = api.remove_credentials(owner.session.access_token, "wrong", owner.app.code())
        refused.refused(401, "INCORRECT_CREDENTIALS")
    assert factor_row(database_url, owner.id) == (True, 0)


@pytest.mark.parametrize("way", ["recovery", "changePassword", "resetPassword", "set-password", "reset-second-factor"])
def test_what_unblocks_a_factor(
    api: Api, world: World, service: str, flask: CommandLine, database_url: str, way: str
) -> None:
    owner = new_owner(api, world)
    block_factor(database_url, owner.id)
    if way == "recovery":
        api.answer_challenge(challenge_of(api, owner.id, service), owner.recovery_code).ok()
        assert factor_row(database_url, owner.id) == (False, None)
        return
    ends_a_challenge(way, api, world, flask, owner)
    if way == "reset-second-factor":
        assert set(api.login(owner.id, PASSWORD, service).ok()) == {"accessToken", "csrfToken", "refreshToken"}
        return
    assert factor_row(database_url, owner.id) == (True, 0)
    api.answer_challenge(challenge_of(api, owner.id, service, NEW_PASSWORD), owner.app.code()).ok()


# Recovery


@pytest.mark.parametrize(
    "spelling",
    [str, str.lower, lambda code: code.replace("-", ""), lambda code: f" {code.replace('-', ' ')} ",
     lambda code: "-".join(code.replace("-", ""))],
    ids=["as shown", "small", "no dashes", "spaces", "dashes"],
)  # fmt: skip
def test_the_recovery_code_removes_the_factor_and_logs_in(
    api: Api, world: World, service: str, database_url: str, spelling: Callable[[str], str]
) -> None:
    owner = new_owner(api, world)
    extended = api.extend(
        world.service("files:read").access_token, owner.session.access_token, "files:read", refreshes=True
    ).ok()
    answer = api.answer_challenge(challenge_of(api, owner.id, service), spelling(owner.recovery_code))
    tokens = answer.ok()
    assert answer.cookies[COOKIE].value == tokens["refreshToken"]
    assert claims(tokens["accessToken"])["amr"] == ["pwd"]
    assert api.two_factor_status(tokens["accessToken"]).ok() == {"connected": False}
    assert factor_row(database_url, owner.id) == (False, None)
    api.refresh(owner.session.refresh_token).refused(401)
    assert sessions_of(database_url, owner.id) == 1
    assert api.refresh(extended["refreshToken"]).status == 200
    assert set(api.login(owner.id, PASSWORD, service).ok()) == {"accessToken", "csrfToken", "refreshToken"}


def test_a_recovery_code_works_once(api: Api, world: World, service: str) -> None:
    owner = new_owner(api, world)
    challenges = [challenge_of(api, owner.id, service) for _ in range(2)]
    token = api.answer_challenge(challenges[0], owner.recovery_code).ok()["accessToken"]
    api.answer_challenge(challenges[1], owner.recovery_code).refused(401, "INVALID_CHALLENGE")
    again = add_factor(api, replace_session(owner.session, token))
    challenge = challenge_of(api, owner.id, service)
    api.answer_challenge(challenge, owner.recovery_code).refused(401, "INCORRECT_CODE")
    api.answer_challenge(challenge, again.recovery_code).ok()


def replace_session(session: Stored, access_token: str) -> Stored:
    return Stored(session.id, session.refresh_token, access_token)


def test_wrong_recovery_codes_count_as_codes_do(api: Api, world: World, service: str) -> None:
    owner, other = new_owner(api, world), new_owner(api, world)
    challenge = challenge_of(api, owner.id, service)
    for code in (other.recovery_code, "A" * 24, "x", owner.recovery_code[:-1], owner.recovery_code + "A"):
        api.answer_challenge(challenge, code).refused(401, "INCORRECT_CODE")
    locked(api.answer_challenge(challenge, owner.recovery_code))


# Removing


@pytest.mark.parametrize("by", ["code", "recovery code"])
def test_removing_takes_the_password_and_a_code(
    api: Api, world: World, database_url: str, service: str, by: str
) -> None:
    owner = new_owner(api, world)
    other = api.answer_challenge(challenge_of(api, owner.id, service), owner.app.code()).ok()
    extended = api.extend(
        world.service("files:read").access_token, other["accessToken"], "files:read", refreshes=True
    ).ok()
    code, bearer = owner.app.code(1) if by == "code" else owner.recovery_code, owner.session.access_token
    api.remove_credentials(bearer, "wrong", code).refused(401, "INCORRECT_CREDENTIALS")
    api.remove_credentials(bearer, PASSWORD, owner.app.wrong_code()).refused(401, "INCORRECT_CODE")
    api.remove_credentials(bearer, PASSWORD, owner.app.code()).refused(401, "INCORRECT_CODE")  # it is spent
    assert factor_row(database_url, owner.id)[0] is True
    assert api.remove_credentials(bearer, PASSWORD, code).ok() == {}
    assert factor_row(database_url, owner.id) == (False, None)
    api.refresh(other["refreshToken"]).refused(401)
    for token in (owner.session.refresh_token, extended["refreshToken"]):
        assert api.refresh(token).status == 200
    api.remove_credentials(bearer, PASSWORD, code).refused(400, "SECOND_FACTOR_NOT_CONNECTED")


def test_wrong_attempts_to_remove_count_as_logins(api: Api, world: World, service: str) -> None:
    owner = new_owner(api, world)
    for _ in range(3):
        api.remove_credentials(owner.session.access_token, "wrong", owner.app.code()).refused(401)
    for _ in range(2):
        api.remove_credentials(owner.session.access_token, PASSWORD, owner.app.wrong_code()).refused(401)
    locked(api.remove_credentials(owner.session.access_token, PASSWORD, owner.app.code()))
    locked(api.login(owner.id, PASSWORD, service))


@pytest.mark.parametrize("way", ["changePassword", "resetPassword", "set-password"])
def test_a_new_password_keeps_the_factor(
    api: Api, world: World, service: str, flask: CommandLine, database_url: str, way: str
) -> None:
    owner = new_owner(api, world)
    block_factor(database_url, owner.id, 50)
    ends_a_challenge(way, api, world, flask, owner)
    assert factor_row(database_url, owner.id) == (True, 0)
    api.answer_challenge(challenge_of(api, owner.id, service, NEW_PASSWORD), owner.app.code()).ok()


# Who may call


def test_the_document_names_every_answer(api: Api) -> None:
    paths = api.call("GET", "/openapi.json").ok()["paths"]
    for path, names in (
        ("/auth/login", ["OptionalAuthenticationTokens", "LoginContinues"]),
        ("/auth/2fa/challenge", ["OptionalAuthenticationTokens", "Unit"]),
    ):
        content = paths[path]["post"]["responses"]["200"]["content"]
        assert set(content) == {"application/json", "text/html"}
        answers = content["application/json"]["schema"]["anyOf"]
        assert answers == [{"$ref": f"#/components/schemas/{name}"} for name in names]
    assert paths["/auth/2fa"]["post"]["operationId"] == "twofactor.createCredentials"
    assert "scope `sla.find:read`" in paths["/api/sla"]["get"]["description"]


def calls_of(api: Api, bearer: str | None) -> dict[str, Callable[[], Any]]:
    return {
        "twofactor.createCredentials": lambda: api.create_credentials(bearer),
        "twofactor.twoFactorStatus": lambda: api.two_factor_status(bearer),
        "twofactor.removeCredentials": lambda: api.remove_credentials(bearer, PASSWORD, "123456"),
        "sla.find": lambda: api.find_sla(bearer),
        "sla.accept": lambda: api.accept_sla(bearer, 0),
    }


def test_extended_and_narrowed_tokens_are_refused(api: Api, world: World) -> None:
    user = world.user()
    service = world.service("auth.twofactor:write", "sla:write", "auth:write")
    session = world.session(user)
    extended = [
        api.extend(service.access_token, session.access_token, *scopes, refreshes=True).ok()["accessToken"]
        for scopes in (("auth.twofactor:write", "sla:write"), ("auth:write", "sla:write"))
    ]
    narrowed = [
        world.access_token(user, scopes)
        for scopes in (["auth:write", "sla:write"], ["sla:write", "auth.twofactor:write"], [*RESTRICTED, "files:read"])
    ]
    for token in (*extended, *narrowed):
        for name, call in calls_of(api, token).items():
            assert call().refused(403, "SESSION_TOKEN_NEEDED"), name


def test_each_call_needs_its_scope(api: Api, world: World) -> None:
    user = world.user()
    for name, access in (
        ("auth.twofactor.createCredentials", "write"),
        ("auth.twofactor.twoFactorStatus", "read"),
        ("auth.twofactor.removeCredentials", "write"),
        ("sla.find", "read"),
        ("sla.accept", "write"),
    ):
        call = calls_of(api, world.access_token(user, [f"{name}:{access}"]))[name.removeprefix("auth.")]
        call().refused(403, "SESSION_TOKEN_NEEDED")
        call = calls_of(api, world.access_token(user, ["files:write", f"{name}x:{access}"]))[name.removeprefix("auth.")]
        call().refused(401, "SCOPE_NOT_COVERED")


def test_services_and_strangers_are_refused(api: Api, world: World) -> None:
    for bearer in (None, "x", world.service().access_token):
        for call in calls_of(api, bearer).values():
            assert call().refused(401).header("WWW-Authenticate") == "Bearer"


# Required


def test_a_required_factor_restricts_every_token_of_a_session(requiring: Api, world: World, service: str) -> None:
    user = world.user()
    tokens = requiring.login(user, PASSWORD, service).ok()
    for token in (tokens["accessToken"], requiring.refresh(tokens["refreshToken"]).ok()["accessToken"]):
        assert claims(token)["aud"] == RESTRICTED
        assert claims(token)["twoFactorAuthentication"] is False
        assert requiring.two_factor_status(token).ok() == {"connected": False}
        assert requiring.find_sla(token).ok() == {"version": 0, "text": ""}
        assert requiring.accept_sla(token, 0).ok() == {}
        requiring.remove_credentials(token, PASSWORD, "123456").refused(403, "SESSION_TOKEN_NEEDED")
        for refused in (
            requiring.sessions(token),
            requiring.invalidate_sessions(token),
            requiring.delegations(token),
            requiring.invalidate_delegations(token),
            requiring.change_password(token, PASSWORD, NEW_PASSWORD),
            requiring.request_one_time_token(token, "files:read"),
            requiring.request_one_time_token(token, "sla.find:read"),
        ):
            refused.refused(401, "SCOPE_NOT_COVERED")
    owner = add_factor(requiring, Stored(user, tokens["refreshToken"], tokens["accessToken"]))
    token = requiring.refresh(tokens["refreshToken"]).ok()["accessToken"]
    assert (claims(token)["aud"], claims(token)["twoFactorAuthentication"]) == (["all:write"], True)
    assert requiring.sessions(token).status == 200
    requiring.answer_challenge(challenge_of(requiring, owner.id, service), owner.app.code()).ok()
    assert requiring.logout(tokens["refreshToken"]).status == 200


def test_no_delegation_is_made_from_a_restricted_token(requiring: Api, world: World, service: str) -> None:
    token = requiring.login(world.user(), PASSWORD, service).ok()["accessToken"]
    holder = world.service("auth.twofactor:write", "sla:write", "files:read")
    for scopes in (("files:read",), ("sla.find:read",), ("auth.twofactor:write", "sla:write")):
        for refreshes in (False, True):
            answer = requiring.extend(holder.access_token, token, *scopes, refreshes=refreshes)
            answer.refused(401, "SCOPE_NOT_COVERED")


def test_a_requirement_reaches_live_sessions_at_their_next_refresh(api: Api, requiring: Api, world: World) -> None:
    session, service = world.session(), world.service("files:read")
    extended = api.extend(service.access_token, session.access_token, "files:read", refreshes=True).ok()
    assert claims(api.refresh(session.refresh_token).ok()["accessToken"])["aud"] == ["all:write"]
    assert requiring.sessions(session.access_token).status == 200
    assert claims(requiring.refresh(session.refresh_token).ok()["accessToken"])["aud"] == RESTRICTED
    of_delegation = claims(requiring.refresh(extended["refreshToken"]).ok()["accessToken"])
    assert (of_delegation["aud"], of_delegation["twoFactorAuthentication"]) == (["files:read"], False)


def test_nothing_is_required_of_other_roles_and_of_people_without_a_password(requiring: Api, world: World) -> None:
    for user in (world.user(Role.ADMIN), world.user(password=None)):
        token = claims(requiring.refresh(world.session(user).refresh_token).ok()["accessToken"])
        assert (token["aud"], token["twoFactorAuthentication"]) == (["all:write"], True)
    service = world.service()
    assert claims(requiring.refresh(service.refresh_token).ok()["accessToken"])["aud"] == ["all:write"]


def test_a_requirement_holds_for_every_login_service(requiring: Api, world: World) -> None:
    user = world.user()
    for mode in ("WEB", "APPLICATION"):
        token = requiring.login(user, PASSWORD, world.login_service(mode=mode)).ok()["accessToken"]
        assert claims(token)["aud"] == RESTRICTED


def test_a_removed_factor_is_missing_again(requiring: Api, world: World, service: str) -> None:
    owner, other = new_owner(requiring, world), new_owner(requiring, world)
    requiring.remove_credentials(owner.session.access_token, PASSWORD, owner.recovery_code).ok()
    assert claims(requiring.refresh(owner.session.refresh_token).ok()["accessToken"])["aud"] == RESTRICTED
    challenge = challenge_of(requiring, other.id, service)
    token = claims(requiring.answer_challenge(challenge, other.recovery_code).ok()["accessToken"])
    assert (token["aud"], token["amr"], token["twoFactorAuthentication"]) == (RESTRICTED, ["pwd"], False)


# At rest


def stored_secret(database_url: str, user: str) -> str:
    with psycopg.connect(database_url) as connection:
        row = connection.execute("SELECT secret FROM second_factor WHERE principal_id = %s", [user]).fetchone()
    assert row is not None
    return str(row[0])


def test_a_secret_is_of_no_use_in_another_row(
    api: Api, world: World, service: str, database_url: str, flask: CommandLine
) -> None:
    mine, other = new_owner(api, world), new_owner(api, world)
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "UPDATE second_factor SET secret = %s, last_step = 0 WHERE principal_id = %s",
            [stored_secret(database_url, mine.id), other.id],
        )
    challenge = challenge_of(api, other.id, service)
    api.answer_challenge(challenge, mine.app.code()).refused(503, "SECOND_FACTOR_UNAVAILABLE")
    flask.json("users", "delete", other.id)


def test_without_the_key_nobody_logs_in_without_the_factor(
    api: Api, world: World, service: str, deploy: Deploy, config: Config, address: str, database_url: str
) -> None:
    owner, challenge = new_owner(api, world), ""
    challenge = challenge_of(api, owner.id, service)

    def deployed(*keys: str) -> Api:
        return Api(send_to_app(deploy(replace(config, second_factor_keys=SecondFactorKeys(*keys))), address))

    none, other = deployed(), deployed(Fernet.generate_key().decode())
    answer = none.login(owner.id, PASSWORD, service).refused(503, "SECOND_FACTOR_UNAVAILABLE")
    assert answer.header("Retry-After")
    assert not answer.cookies
    none.answer_challenge(challenge, owner.app.code()).refused(503, "SECOND_FACTOR_UNAVAILABLE")
    none.create_credentials(world.session().access_token).refused(503, "SECOND_FACTOR_UNAVAILABLE")
    none.remove_credentials(owner.session.access_token, PASSWORD, owner.app.code()).refused(
        503, "SECOND_FACTOR_UNAVAILABLE"
    )
    other.answer_challenge(challenge, owner.app.code()).refused(401, "INVALID_CHALLENGE")
    foreign = challenge_of(other, owner.id, service)
    for _ in range(6):  # and this locks nobody
        answer = other.answer_challenge(foreign, owner.app.code()).refused(503, "SECOND_FACTOR_UNAVAILABLE")
        assert not answer.cookies
    assert factor_row(database_url, owner.id) == (True, 0)  # no code was checked
    assert sessions_of(database_url, owner.id) == 1
    assert set(none.login(world.user(), PASSWORD, service).ok()) == {"accessToken", "csrfToken", "refreshToken"}
    api.answer_challenge(challenge_of(api, owner.id, service), owner.app.code()).ok()


# Claims


def test_a_session_says_when_and_how_it_began(api: Api, world: World, service: str) -> None:
    started, user = int(time.time()), world.user()
    tokens = api.login(user, PASSWORD, service).ok()
    first = claims(tokens["accessToken"])
    assert started <= first["auth_time"] <= time.time()
    assert isinstance(first["auth_time"], int)
    assert first["amr"] == ["pwd"]
    time.sleep(1.1)
    refreshed = claims(api.refresh(tokens["refreshToken"]).ok()["accessToken"])
    assert (refreshed["auth_time"], refreshed["amr"]) == (first["auth_time"], ["pwd"])
    owner = add_factor(api, Stored(user, tokens["refreshToken"], tokens["accessToken"]))
    refreshed = claims(api.refresh(tokens["refreshToken"]).ok()["accessToken"])
    assert (refreshed["auth_time"], refreshed["amr"]) == (first["auth_time"], ["pwd", "otp", "mfa"])
    again = claims(api.answer_challenge(challenge_of(api, user, service), owner.app.code()).ok()["accessToken"])
    assert again["amr"] == ["pwd", "otp", "mfa"]
    assert again["auth_time"] > first["auth_time"]


def test_only_tokens_of_peoples_sessions_say_it(api: Api, world: World) -> None:
    owner, service = new_owner(api, world), world.service("files:read")
    extended = api.extend(service.access_token, owner.session.access_token, "files:read", refreshes=True).ok()
    tokens = [
        extended["accessToken"],
        api.refresh(extended["refreshToken"]).ok()["accessToken"],
        api.extend(service.access_token, owner.session.access_token, "files:read").ok()["accessToken"],
        api.request_one_time_token(owner.session.access_token, "files:read").ok()["accessToken"],
        api.refresh(service.refresh_token).ok()["accessToken"],
    ]
    for token in tokens:
        assert not {"amr", "auth_time"} & set(claims(token))
