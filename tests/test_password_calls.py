"""changePassword and resetPassword."""

import json
import secrets
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import partial
from typing import Any

import psycopg
import pytest
from flask import Flask

from auth.core import password_rules, passwords, refresh_tokens
from auth.core.errors import LoginBusy
from auth.core.limits import PASSWORD_BYTES, RESET_TOKEN_MINUTES

from .support.api import Api
from .support.command_line import CommandLine
from .support.lockouts import FAILURES, block, cooldown, fail, limit_key
from .support.locks import holding, waits_for_a_lock
from .support.statements import noted
from .support.world import PASSWORD, QUICK_HASH, Stored, World, claims

NEW = "seventeen violet kettles"
EXPENSIVE = "ituii" * 12 + "iiar"  # zxcvbn takes four times as long for it as a hash takes
REFUSED = [
    ("too short", "PASSWORD_TOO_SHORT"),
    ("é" * (password_rules.CHARACTERS - 1), "PASSWORD_TOO_SHORT"),
    ("é" * (PASSWORD_BYTES // 2 + 1), "PASSWORD_TOO_LONG"),
    ("passwordpassword", "PASSWORD_TOO_EASY"),
]
BODIES: list[dict[str, Any]] = [
    {}, {"currentPassword": PASSWORD}, {"newPassword": NEW}, {"currentPassword": None, "newPassword": NEW},
    {"currentPassword": 1, "newPassword": NEW}, {"currentPassword": "", "newPassword": NEW},
    {"currentPassword": PASSWORD, "newPassword": [NEW]},
    {"currentPassword": "x" * (PASSWORD_BYTES + 1), "newPassword": NEW},
    {"currentPassword": "é" * (PASSWORD_BYTES - 1), "newPassword": NEW},
]  # fmt: skip


def reset_token(flask: CommandLine, user_id: str, *options: str) -> str:
    answer = flask.json("users", "reset-password", user_id, *options)
    assert answer["id"] == user_id
    assert set(answer) == {"id", "resetToken"}
    return str(answer["resetToken"])


def logs_in(api: Api, world: World, user_id: str, password: str) -> bool:
    return api.login(user_id, password, world.login_service()).status == 200


def delegation(api: Api, world: World, user: Stored) -> str:
    service = world.service("files:read")
    made = api.extend(service.access_token, user.access_token, "files:read", refreshes=True).ok()
    return str(made["refreshToken"])


def test_a_new_password_ends_all_but_the_session_that_asked(api: Api, world: World) -> None:
    user = world.session()
    other, acting = world.session(user.id), delegation(api, world, user)
    service = world.service("files:read", "auth:write")
    passing = api.extend(service.access_token, user.access_token, "files:read", "auth:write").ok()["accessToken"]
    assert api.change_password(user.access_token, PASSWORD, NEW).ok() == {}
    assert api.refresh(user.refresh_token).status == 200
    assert [item["current"] for item in api.sessions(user.access_token).ok()["items"]] == [True]
    for refresh_token in (other.refresh_token, acting):
        api.refresh(refresh_token).refused(401, "INVALID_TOKEN")
    api.request_one_time_token(passing, "files:read").refused(401, "INVALID_TOKEN")
    assert logs_in(api, world, user.id, NEW)
    assert not logs_in(api, world, user.id, PASSWORD)


def test_a_wrong_current_password_changes_nothing_and_counts_as_a_guess(api: Api, world: World) -> None:
    user = world.session()
    for _ in range(FAILURES):
        api.change_password(user.access_token, "wrong", NEW).refused(401, "INCORRECT_CREDENTIALS")
    for current in ("wrong", PASSWORD):
        answer = api.change_password(user.access_token, current, NEW).refused(429, "TOO_MANY_ATTEMPTS")
        assert 1 <= int(answer.header("Retry-After") or 0) <= cooldown(1)
    api.login(user.id, PASSWORD, world.login_service()).refused(429, "TOO_MANY_ATTEMPTS")
    assert api.refresh(user.refresh_token).status == 200


def test_guesses_at_login_count_here_too_and_a_success_does_not(api: Api, world: World) -> None:
    user, service = world.session(), world.login_service()
    pair = [PASSWORD, NEW]
    for _ in range(FAILURES + 1):
        api.change_password(user.access_token, *pair).ok()
        pair.reverse()
    fail(api, user.id, service, FAILURES)
    api.change_password(user.access_token, *pair).refused(429)


def test_a_names_limit_holds_except_from_a_known_network(
    api: Api, world: World, database_url: str, address: str
) -> None:
    """Known: the user has a live session from there, as at login."""
    user = world.session()
    block(database_url, limit_key("username", user.id))
    api.change_password(user.access_token, PASSWORD, NEW).refused(429, "TOO_MANY_ATTEMPTS")
    world.session(user.id, ip_address=address, ttl=-1)
    api.change_password(user.access_token, PASSWORD, NEW).refused(429, "TOO_MANY_ATTEMPTS")
    world.session(user.id, ip_address=address)
    api.change_password(user.access_token, PASSWORD, NEW).ok()


@pytest.mark.parametrize(("new", "error_code"), REFUSED)
def test_a_refused_password_is_no_guess(api: Api, world: World, new: str, error_code: str) -> None:
    user = world.session()
    for _ in range(FAILURES + 1):
        api.change_password(user.access_token, "wrong", new).refused(400, error_code)
    assert logs_in(api, world, user.id, PASSWORD)


@pytest.mark.parametrize("body", BODIES)
def test_a_body_that_is_not_the_model_is_400(api: Api, world: World, body: dict[str, Any]) -> None:
    user = world.session()
    api.call("POST", "/auth/password", user.access_token, json_body=body).refused(400, "INVALID_REQUEST")
    assert logs_in(api, world, user.id, PASSWORD)


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b'"x"', b"\xff", b'{"currentPassword":"\xff","newPassword":"x"}'])
@pytest.mark.parametrize("path", ["/auth/password", "/auth/password/reset"])
def test_a_broken_body_is_400(api: Api, world: World, data: bytes, path: str) -> None:
    bearer = world.session().access_token
    api.call("POST", path, bearer, data=data, Content_Type="application/json").refused(400, "INVALID_REQUEST")
    api.call("POST", path, bearer, data=b"a=b", Content_Type="text/plain").refused(415)


def test_characters_that_postgresql_cannot_store_are_no_fault(api: Api, world: World) -> None:
    user, odd = world.session(), "seventeen\0violet kettles"
    api.change_password(user.access_token, PASSWORD, odd).ok()
    assert logs_in(api, world, user.id, odd)
    api.reset_password("\0", NEW).refused(401, "INVALID_TOKEN")
    api.change_password(user.access_token, "\0", NEW).refused(401, "INCORRECT_CREDENTIALS")


@pytest.mark.parametrize(
    "odd",
    [
        "violet kettles 12345\n",
        "violet kettles 123456\n",
        "violet kettles ١٢٣٤٥\n",
        "12345\nviolet kettles lamp",
        "violet\r\n1987-12-31\nkettles",
        "\u0130I\u0131\u017f\u00df\u0390\u01f0 violet kettles",
        "violet \u200b\u2028 kettles \U0010ffff",
        "\x7f\x9f\x1d violet kettles \x00",
    ],
)
def test_a_password_is_kept_with_all_its_characters(api: Api, world: World, flask: CommandLine, odd: str) -> None:
    """Control characters do not count in its score, and stay in the password."""
    user = world.session()
    api.change_password(user.access_token, PASSWORD, odd).ok()
    assert logs_in(api, world, user.id, odd)
    without = "".join(filter(str.isprintable, odd))
    assert without == odd or not logs_in(api, world, user.id, without)
    flask.json("users", "set-password", user.id, "--password-stdin", stdin=f"{NEW} 12345\n\n")
    assert api.reset_password(reset_token(flask, user.id), odd).ok() == {}


@pytest.mark.parametrize("text", [r"\ud800", r"\udfff\ud800", r"violet kettles \udc0a lamp"])
def test_half_a_character_is_400(api: Api, world: World, text: str) -> None:
    """JSON can spell a surrogate without its pair. UTF-8 and PostgreSQL cannot."""
    user = world.session()
    bodies = [
        ("/auth/password", "currentPassword", "newPassword"),
        ("/auth/password/reset", "newPassword", "resetToken"),
    ]
    for path, *names in bodies:
        for name in names:
            fields = dict.fromkeys(names, PASSWORD) | {name: "@"}
            data = json.dumps(fields).replace("@", text).encode()
            api.call("POST", path, user.access_token, data=data).refused(400, "INVALID_REQUEST")


def test_only_the_owners_own_session_may_change_it(api: Api, world: World) -> None:
    user, service = world.session(), world.service("auth:write")
    acting = api.extend(service.access_token, user.access_token, "auth:write").ok()["accessToken"]
    one_time = api.request_one_time_token(user.access_token, "all:write").ok()["accessToken"]
    api.change_password(acting, PASSWORD, NEW).refused(403, "SESSION_TOKEN_NEEDED")
    api.change_password(world.access_token(user.id, ["auth:write"]), PASSWORD, NEW).refused(403, "SESSION_TOKEN_NEEDED")
    api.change_password(one_time, PASSWORD, NEW).refused(401, "INVALID_TOKEN")
    api.change_password(None, PASSWORD, NEW).refused(401, "INVALID_TOKEN")
    api.change_password(service.access_token, PASSWORD, NEW).refused(401, "ROLE_NOT_ALLOWED")
    api.logout(user.refresh_token).ok()
    api.change_password(user.access_token, PASSWORD, NEW).refused(401, "INVALID_TOKEN")
    assert logs_in(api, world, user.id, PASSWORD)


def test_a_user_without_a_password_cannot_change_it(api: Api, world: World) -> None:
    user = world.session(world.user(password=None))
    api.change_password(user.access_token, PASSWORD, NEW).refused(403, "NO_PASSWORD")


def test_an_imported_hash_can_be_changed(api: Api, world: World) -> None:
    from passlib.hash import bcrypt

    user = world.session(world.user(password_hash=bcrypt.using(rounds=4).hash(PASSWORD)))
    api.change_password(user.access_token, PASSWORD, NEW).ok()
    assert world.password_hash(user.id).startswith("$argon2id$")


def test_of_sixty_four_changes_one_wins(api: Api, world: World) -> None:
    user = world.session()
    wanted = [f"seventeen violet kettles {number}" for number in range(64)]
    with ThreadPoolExecutor(64) as pool:
        statuses = list(pool.map(lambda new: api.change_password(user.access_token, PASSWORD, new).status, wanted))
    assert Counter(statuses)[200] == 1, statuses
    assert set(statuses) <= {200, 401, 429, 503}
    [winner] = [new for new, status in zip(wanted, statuses, strict=True) if status == 200]
    assert passwords.verify(winner, world.password_hash(user.id))[0]


def test_no_login_with_the_old_password_survives_a_change(api: Api, world: World) -> None:
    """A login before the change is ended by it, and a later one is refused."""
    service, changed = world.login_service(), 0
    for _ in range(5):
        user = world.session()
        with ThreadPoolExecutor(4) as pool:
            logins = [pool.submit(api.login, user.id, PASSWORD, service) for _ in range(3)]
            change = pool.submit(api.change_password, user.access_token, PASSWORD, NEW)
            answers = [login.result() for login in logins]
        if change.result().status == 200:
            changed += 1
            for answer in answers:
                if answer.status == 200:
                    api.refresh(answer.json["refreshToken"]).refused(401)
            assert api.sessions(user.access_token).ok()["itemsInTotal"] == 1
    assert changed


def ended_meanwhile(monkeypatch: pytest.MonkeyPatch, end: Callable[[], object]) -> None:
    """Calls the function while the new password is hashed."""
    hash_password = passwords.hash_password

    def hash_later(password: str) -> str:
        end()
        return hash_password(password)

    monkeypatch.setattr(passwords, "hash_password", hash_later)


def test_a_session_that_ends_during_the_hashes(api: Api, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing changes, and the right password is no wrong guess."""
    user = world.user()
    for _ in range(FAILURES + 1):
        session = world.session(user)
        with monkeypatch.context() as patch:
            ended_meanwhile(patch, partial(api.logout, session.refresh_token))
            api.change_password(session.access_token, PASSWORD, NEW).refused(401, "INVALID_TOKEN")
    assert logs_in(api, world, user, PASSWORD)


def test_a_user_who_is_disabled_during_the_hashes(
    api: Api, world: World, flask: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = world.session()
    token = reset_token(flask, user.id)
    with monkeypatch.context() as patch:
        ended_meanwhile(patch, lambda: flask.json("users", "disable", user.id))
        api.change_password(user.access_token, PASSWORD, NEW).refused(401, "INVALID_TOKEN")
        api.reset_password(token, NEW).refused(401, "INVALID_TOKEN")
    flask.json("users", "enable", user.id)
    assert logs_in(api, world, user.id, PASSWORD)


CHANGES = {
    "disabled": "UPDATE principal SET disabled_at = now() WHERE id = %s",
    "new password": "UPDATE principal SET password_generation = password_generation + 1 WHERE id = %s",
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_that_waits_for_another_of_the_same_user_fails(
    api: Api, world: World, flask: CommandLine, database_url: str, change: str
) -> None:
    user = world.session()
    with ThreadPoolExecutor(1) as pool:
        with holding(database_url, CHANGES[change], user.id):
            changing = pool.submit(api.change_password, user.access_token, PASSWORD, NEW)
            assert waits_for_a_lock(database_url, changing)
        changing.result().refused(401, "INVALID_TOKEN" if change == "disabled" else "INCORRECT_CREDENTIALS")
    flask.json("users", "enable", user.id)
    assert logs_in(api, world, user.id, PASSWORD)


def test_a_reset_that_waits_while_its_user_is_disabled_fails(
    api: Api, world: World, flask: CommandLine, database_url: str
) -> None:
    user = world.user()
    token = reset_token(flask, user)
    with ThreadPoolExecutor(1) as pool:
        with holding(database_url, CHANGES["disabled"], user):
            resetting = pool.submit(api.reset_password, token, NEW)
            assert waits_for_a_lock(database_url, resetting)
        resetting.result().refused(401, "INVALID_TOKEN")
    flask.json("users", "enable", user)
    assert logs_in(api, world, user, PASSWORD)


def test_a_queue_that_is_full_is_no_guess(api: Api, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    user = world.session()

    def busy() -> None:
        raise LoginBusy

    for _ in range(FAILURES + 1):
        with monkeypatch.context() as patch:
            ended_meanwhile(patch, busy)
            api.change_password(user.access_token, PASSWORD, NEW).refused(503, "LOGIN_BUSY")
    api.change_password(user.access_token, PASSWORD, NEW).ok()


def test_a_call_needs_one_place_in_the_queue_and_gives_it_back(
    api: Api, world: World, flask: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """changePassword has two hashes. The queue has a single place here."""
    user = world.session()
    monkeypatch.setattr(passwords, "queue", passwords.Places(1))
    api.change_password(user.access_token, "wrong", NEW).refused(401, "INCORRECT_CREDENTIALS")
    api.change_password(user.access_token, PASSWORD, NEW).ok()
    api.change_password(user.access_token, NEW, "passwordpassword").refused(400, "PASSWORD_TOO_EASY")
    api.reset_password(reset_token(flask, user.id), PASSWORD).ok()
    assert logs_in(api, world, user.id, PASSWORD)


def test_resets_that_wait_for_their_scores_keep_no_login_waiting(
    api: Api, world: World, flask: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One more than may wait is refused at once."""
    user, scored = world.user(), threading.Event()
    tokens = [reset_token(flask, world.user()) for _ in range(password_rules.WAITING + 1)]

    def score_later(*_: object) -> dict[str, int]:
        scored.wait(30)
        return {"score": 4}

    monkeypatch.setattr(password_rules, "zxcvbn", score_later)
    monkeypatch.setattr(passwords, "hash_password", lambda _: QUICK_HASH)
    with ThreadPoolExecutor(len(tokens)) as pool:
        resets = [pool.submit(api.reset_password, token, NEW) for token in tokens]
        try:
            next(as_completed(resets)).result().refused(503, "LOGIN_BUSY")
            assert logs_in(api, world, user, PASSWORD)
        finally:
            scored.set()
    assert Counter(reset.result().status for reset in resets) == {200: password_rules.WAITING, 503: 1}


def test_resets_of_strangers_keep_no_user_waiting(api: Api, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty strangers send passwords whose scores take long."""
    user, changed, strangers = world.session(), threading.Event(), 20

    def score(password: str, own_words: list[str]) -> dict[str, int]:
        changed.wait(30 if password == EXPENSIVE else 0)
        return {"score": 4}

    monkeypatch.setattr(password_rules, "zxcvbn", score)
    with ThreadPoolExecutor(strangers) as pool:
        resets = [pool.submit(api.reset_password, "unknown", EXPENSIVE) for _ in range(strangers)]
        try:
            for _ in zip(range(strangers - password_rules.WAITING), as_completed(resets), strict=False):
                pass  # as many as would fill the places for scores are left
            api.change_password(user.access_token, PASSWORD, NEW).ok()
        finally:
            changed.set()
    for reset in resets:
        reset.result().refused(401, "INVALID_TOKEN")


@pytest.mark.parametrize("new", [NEW, EXPENSIVE, "short", "x" * 1025, "passwordpassword", "violet 12345\n kettles", ""])
def test_a_reset_of_a_stranger_is_one_read(api: Api, app: Flask, monkeypatch: pytest.MonkeyPatch, new: str) -> None:
    """Whatever the new password is: it is neither scored nor hashed."""
    statements = noted(monkeypatch)
    for module, work in ((password_rules, "check"), (passwords, "hash_password")):
        monkeypatch.setattr(module, work, None)
    api.reset_password("unknown", new).refused(401, "INVALID_TOKEN")
    assert statements == ["password_reset_find"]


def test_a_reset_token_sets_a_password_once(api: Api, world: World, flask: CommandLine) -> None:
    user = world.session()
    acting, token = delegation(api, world, user), reset_token(flask, user.id)
    assert api.reset_password(token, NEW).ok() == {}
    for refresh_token in (user.refresh_token, acting):
        api.refresh(refresh_token).refused(401, "INVALID_TOKEN")
    assert logs_in(api, world, user.id, NEW)
    api.reset_password(token, "another seventeen kettles").refused(401, "INVALID_TOKEN")
    assert logs_in(api, world, user.id, NEW)


@pytest.mark.parametrize(("new", "error_code"), REFUSED)
def test_a_refused_password_does_not_spend_the_token(
    api: Api, world: World, flask: CommandLine, new: str, error_code: str
) -> None:
    user = world.user()
    token = reset_token(flask, user)
    api.reset_password(token, new).refused(400, error_code)
    api.reset_password("unknown", new).refused(401, "INVALID_TOKEN")
    api.reset_password(token, NEW).ok()


def test_the_users_id_is_no_password(api: Api, world: World, flask: CommandLine) -> None:
    """It is hard to guess, except for people who know the user."""
    user = world.session()
    api.change_password(user.access_token, PASSWORD, user.id).refused(400, "PASSWORD_TOO_EASY")
    token = reset_token(flask, user.id)
    api.reset_password("unknown", user.id).refused(401, "INVALID_TOKEN")
    api.reset_password(token, user.id).refused(400, "PASSWORD_TOO_EASY")
    api.reset_password(token, NEW).ok()


def ways_to_end(flask: CommandLine, api: Api, world: World, user: Stored) -> dict[str, Callable[[], object]]:
    return {
        "newer": lambda: reset_token(flask, user.id),
        "disable": lambda: flask.json("users", "disable", user.id),
        "delete": lambda: flask.json("users", "delete", user.id),
        "set-password": lambda: flask.json("users", "set-password", user.id, "--password-stdin", stdin=f"{NEW}s"),
        "changePassword": lambda: api.change_password(user.access_token, PASSWORD, f"{NEW}s").ok(),
    }


@pytest.mark.parametrize("way", ["newer", "disable", "delete", "set-password", "changePassword"])
def test_a_reset_token_ends_with(api: Api, world: World, flask: CommandLine, way: str) -> None:
    user = world.session()
    token = reset_token(flask, user.id)
    ways_to_end(flask, api, world, user)[way]()
    if way == "disable":
        api.reset_password(token, NEW).refused(401, "INVALID_TOKEN")
        flask.json("users", "enable", user.id)
    api.reset_password(token, NEW).refused(401, "INVALID_TOKEN")
    assert not logs_in(api, world, user.id, NEW)


def test_a_reset_token_expires(api: Api, world: World, flask: CommandLine, database_url: str) -> None:
    user = world.user()
    for options, minutes in ((), RESET_TOKEN_MINUTES), (("--valid-for", "5"), 5):
        token = reset_token(flask, user, *options)
        with psycopg.connect(database_url) as connection:
            query = "SELECT extract(epoch FROM reset_expires_at - now()) FROM principal WHERE id = %s"
            seconds = connection.execute(query, [user]).fetchone()
            assert seconds is not None
            assert minutes * 60 - 10 < seconds[0] <= minutes * 60
            connection.execute("UPDATE principal SET reset_expires_at = now() WHERE id = %s", [user])
        api.reset_password(token, NEW).refused(401, "INVALID_TOKEN")
    assert logs_in(api, world, user, PASSWORD)


def test_an_unknown_token_reveals_nothing(api: Api, world: World, flask: CommandLine) -> None:
    token = reset_token(flask, world.user())
    answers = [
        api.reset_password(wrong, NEW).refused(401, "INVALID_TOKEN").body
        for wrong in ("", "x", token[:-1], token.upper(), refresh_tokens.generate(), world.session().refresh_token)
    ]
    assert len(set(answers)) == 1


def test_a_token_is_spent_once_of_many(api: Api, world: World, flask: CommandLine) -> None:
    user = world.user()
    token = reset_token(flask, user)
    wanted = [f"seventeen violet kettles {number}" for number in range(16)]
    with ThreadPoolExecutor(16) as pool:
        statuses = list(pool.map(lambda new: api.reset_password(token, new).status, wanted))
    assert Counter(statuses)[200] == 1
    assert set(statuses) <= {200, 401, 503}
    assert logs_in(api, world, user, wanted[statuses.index(200)])


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"resetToken": "x"},
        {"newPassword": NEW},
        {"resetToken": 1, "newPassword": NEW},
        {"resetToken": None, "newPassword": NEW},
        {"resetToken": "x", "newPassword": 1},
    ],
)
def test_a_reset_that_is_not_the_model_is_400(api: Api, body: dict[str, Any]) -> None:
    api.call("POST", "/auth/password/reset", json_body=body).refused(400, "INVALID_REQUEST")


def test_only_people_who_can_log_in_get_a_token(world: World, flask: CommandLine) -> None:
    user = world.user()
    flask.json("users", "disable", user)
    for principal in (user, world.service().id, f"nobody-{secrets.token_hex(4)}"):
        assert flask.fails("users", "reset-password", principal).startswith("Error: There is no user")
    for minutes in ("0", "-1", "1441", "x"):
        flask.fails("users", "reset-password", world.user(), "--valid-for", minutes)


def test_the_database_has_no_token_and_no_key_in_clear(
    api: Api, world: World, flask: CommandLine, database_url: str
) -> None:
    from .test_servers import dump

    token, key, jti = reset_token(flask, world.user()), secrets.token_hex(16), secrets.token_hex(16)
    assert api.claim(world.service().access_token, jti, key).status == 200
    content = dump(database_url)
    assert jti in content
    for secret in (token, key):
        assert secret not in content
        assert secret.encode().hex() not in content


def test_a_session_that_changed_its_password_is_the_same(api: Api, world: World) -> None:
    user = world.session()
    api.change_password(user.access_token, PASSWORD, NEW).ok()
    again = claims(api.refresh(user.refresh_token).ok()["accessToken"])
    assert again["publicSessionReference"] == claims(user.access_token)["publicSessionReference"]
