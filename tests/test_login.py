"""passwordLogin: credentials, formats of requests and answers, refusals."""

import json
import re
import secrets
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import unquote, urlencode

import psycopg
import pytest
from flask import Flask
from passlib.hash import argon2, sha256_crypt

from auth.core import passwords
from auth.core.errors import DatabaseUnavailable
from auth.core.limits import (
    AUTH_STATE_SECONDS,
    CLAIM_DAYS,
    ID_CHARACTERS,
    MODEL_BODY_BYTES,
    PASSWORD_BYTES,
    PURGE_ROWS,
    REFRESH_COOKIE_SECONDS,
)
from auth.core.models import Role
from auth.db import Database

from .support.api import COOKIE, Api, request_class
from .support.locks import holding, waits_for_a_lock
from .support.world import ORIGIN, PASSWORD, World, claims

FORM = "application/x-www-form-urlencoded"


def multipart(**fields: str) -> tuple[bytes, str]:
    parts = "".join(
        f'--frontier\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    )
    return f"{parts}--frontier--\r\n".encode(), "multipart/form-data; boundary=frontier"


def test_a_form_logs_in(api: Api, world: World) -> None:
    user = world.user(email="ada@example.org", org_id="sdu.dk")
    tokens = api.login(user, PASSWORD, world.login_service()).ok()
    payload = claims(tokens["accessToken"])
    assert set(tokens) == {"accessToken", "csrfToken", "refreshToken"}
    assert (payload["sub"], payload["aud"], payload["extendedByChain"]) == (user, ["all:write"], [])
    assert (payload["firstNames"], payload["lastName"]) == ("Ada", "Lovelace")
    assert (payload["email"], payload["orgId"]) == ("ada@example.org", "sdu.dk")
    assert api.refresh(tokens["refreshToken"]).status == 200


def test_a_multipart_form_logs_in(api: Api, world: World) -> None:
    user = world.user(password="pässwörd 密码")
    body, content_type = multipart(username=user, password="pässwörd 密码", service=world.login_service())
    assert api.call("POST", "/auth/login", data=body, Content_Type=content_type, Accept="application/json").ok()


def test_json_logs_in(api: Api, world: World) -> None:
    user = world.user(role=Role.ADMIN)
    body = {"username": user, "password": PASSWORD, "service": world.login_service(), "unknown": 1}
    tokens = api.call("POST", "/auth/login", json_body=body, Accept="text/html, application/JSON").ok()
    assert claims(tokens["accessToken"])["role"] == "ADMIN"


def test_a_password_is_taken_as_it_is(api: Api, world: World) -> None:
    user, service = world.user(password=" Pass\0word+%20 "), world.login_service()
    assert api.login(user, " Pass\0word+%20 ", service).status == 200
    for other in ("Pass\0word+%20", " pass\0word+%20 ", " Pass\0word  ", " Pass"):
        api.login(user, other, service).refused(401, "INCORRECT_CREDENTIALS")


def test_a_web_service_keeps_the_refresh_token_from_scripts(api: Api, world: World) -> None:
    answer = api.login(world.user(), PASSWORD, world.login_service(mode="WEB"))
    cookie = answer.cookies[COOKIE]
    assert answer.ok()["refreshToken"] is None
    assert cookie["httponly"]
    assert cookie["secure"]
    assert (cookie["samesite"], cookie["path"], cookie["domain"]) == ("Strict", "/", "")
    assert int(cookie["max-age"]) == REFRESH_COOKIE_SECONDS
    assert api.web_refresh(cookie.value, answer.json["csrfToken"], ORIGIN).status == 200
    assert answer.header("Cache-Control") == "no-store, private"
    assert answer.header("Pragma") == "no-cache"


def test_the_cookie_lives_as_long_as_the_refresh_token(api: Api, world: World) -> None:
    answer = api.login(world.user(), PASSWORD, world.login_service(ttl=1234))
    assert int(answer.cookies[COOKIE]["max-age"]) == 1234


@pytest.mark.parametrize("accept", [None, "*/*", "text/html,application/xhtml+xml"])
def test_a_browser_gets_a_page_that_sends_it_on(api: Api, world: World, accept: str | None) -> None:
    service = world.login_service(mode="APPLICATION", endpoint="https://cloud.example.org/?a=1&b='\"<x>")
    answer = api.login(world.user(), PASSWORD, service, Accept=accept)
    page = answer.body.decode()
    assert (answer.status, answer.header("Content-Type")) == (200, "text/html; charset=utf-8")
    assert answer.header("Content-Security-Policy") == "default-src 'none'; frame-ancestors 'none'"
    assert answer.header("Referrer-Policy") == "no-referrer"
    target = "https://cloud.example.org/?a=1&amp;b=%27%22&lt;x&gt;"
    assert f'<meta http-equiv="refresh" content="0; url={target}">' in page
    raw = next(value for name, value in answer.headers if value.startswith("authState="))
    value = raw.partition(";")[0].removeprefix("authState=")
    assert re.fullmatch(r"[A-Za-z0-9%._~-]+", value)
    state = json.loads(unquote(value))
    assert set(state) == {"accessToken", "csrfToken", "refreshToken"}
    assert state["refreshToken"] == answer.cookies[COOKIE].value
    assert "HttpOnly" not in raw
    assert all(part in raw for part in (f"Max-Age={AUTH_STATE_SECONDS}", "Path=/", "SameSite=Strict", "Secure"))


def test_all_login_failures_have_the_same_answer(api: Api, world: World) -> None:
    service, disabled = world.login_service(), world.user()
    world.db.one("principal_disable", id=disabled)
    attempts = {
        "wrong": api.login(world.user(), "wrong", service),
        "unknown": api.login("nobody", PASSWORD, service),
        "without a password": api.login(world.user(password=None), PASSWORD, service),
        "disabled": api.login(disabled, PASSWORD, service),
        "a service": api.login(world.service().id, PASSWORD, service),
    }
    for answer in attempts.values():
        answer.refused(401, "INCORRECT_CREDENTIALS")
        assert answer.json["why"] == "Incorrect username or password"
        assert not answer.cookies
    told = {(a.body, str([header for header in a.headers if header[0] != "X-Request-Id"])) for a in attempts.values()}
    assert len(told) == 1


def test_every_refusal_costs_one_hash(api: Api, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[object] = []
    verify = argon2.verify.__func__

    def counted(handler: Any, /, *arguments: object, **options: object) -> bool:
        hashed.append(arguments)
        return bool(verify(handler, *arguments, **options))

    monkeypatch.setattr(argon2, "verify", classmethod(counted))
    service, disabled = world.login_service(), world.user()
    world.db.one("principal_disable", id=disabled)
    for username in (world.user(), "nobody", world.user(password=None), disabled):
        hashed.clear()
        api.login(username, "wrong", service).refused(401)
        assert len(hashed) == 1


def test_the_right_password_of_a_disabled_user_has_no_effect(api: Api, world: World) -> None:
    """It has no more effect than a wrong one: for example, an old hash is not replaced."""
    user, old = world.user(), sha256_crypt.using(rounds=1000).hash(PASSWORD)
    world.db.one("principal_set_password", id=user, password_hash=old)
    world.db.one("principal_disable", id=user)
    service = world.login_service()
    api.login(user, PASSWORD, service).refused(401, "INCORRECT_CREDENTIALS")
    world.db.one("principal_enable", id=user)
    assert world.password_hash(user) == old


def test_a_login_under_way_fails_after_a_new_password(api: Api, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    user, verify = world.user(), passwords.verify

    def verify_slowly(password: str, password_hash: str | None) -> tuple[bool, str | None]:
        world.db.one("principal_set_password", id=user, password_hash="another")
        return verify(password, password_hash)

    monkeypatch.setattr(passwords, "verify", verify_slowly)
    api.login(user, PASSWORD, world.login_service()).refused(401, "INCORRECT_CREDENTIALS")


def test_a_login_under_way_fails_for_a_new_user_with_the_same_id(
    api: Api, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The user is deleted during the hash, and another one created with the same id."""
    user, verify = world.user(), passwords.verify

    def verify_slowly(password: str, password_hash: str | None) -> tuple[bool, str | None]:
        world.db.one("principal_delete", id=user, principal_types=["password"])
        names = {"first_names": "Eve", "last_name": "B", "email": None, "org_id": None, "password_hash": password_hash}
        world.db.one("principal_insert", id=user, role="ADMIN", principal_type="password", **names)
        return verify(password, password_hash)

    monkeypatch.setattr(passwords, "verify", verify_slowly)
    api.login(user, PASSWORD, world.login_service()).refused(401, "INCORRECT_CREDENTIALS")


CHANGES = {
    "new password": "UPDATE principal SET password_generation = password_generation + 1 WHERE id = %s",
    "disabled": "UPDATE principal SET disabled_at = now() WHERE id = %s",
    "deleted": "DELETE FROM principal WHERE id = %s",
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_login_waits_for_a_change_of_its_user_and_fails(
    api: Api, world: World, database_url: str, change: str
) -> None:
    """Otherwise the session could be stored after the change has ended all others."""
    user, service = world.user(), world.login_service()
    with ThreadPoolExecutor(1) as pool:
        with holding(database_url, CHANGES[change], user):
            login = pool.submit(api.login, user, PASSWORD, service)
            assert waits_for_a_lock(database_url, login)
        login.result().refused(401, "INCORRECT_CREDENTIALS")


def test_a_replaced_hash_does_not_undo_a_new_password(api: Api, world: World, database_url: str) -> None:
    """A login by the old password replaces its old hash, and waits while the user gets a new password."""
    user, service = world.user(password_hash=sha256_crypt.using(rounds=1000).hash(PASSWORD)), world.login_service()
    change = "UPDATE principal SET password_hash = %s, password_generation = password_generation + 1 WHERE id = %s"
    with ThreadPoolExecutor(1) as pool:
        with holding(database_url, change, "the new hash", user):
            login = pool.submit(api.login, user, PASSWORD, service)
            assert waits_for_a_lock(database_url, login)
        login.result().refused(401, "INCORRECT_CREDENTIALS")
    assert world.password_hash(user) == "the new hash"


@pytest.mark.parametrize(
    ("fields", "error_code"),
    [
        ({"username": None}, "INVALID_REQUEST"),
        ({"password": None}, "INVALID_REQUEST"),
        ({"service": None}, "INVALID_REQUEST"),
        ({"username": ""}, "INVALID_REQUEST"),
        ({"password": ""}, "INVALID_REQUEST"),
        ({"service": ""}, "INVALID_REQUEST"),
        ({"username": "a" * (ID_CHARACTERS + 1)}, "INVALID_REQUEST"),
        ({"username": "a\0b"}, "INVALID_REQUEST"),
        ({"password": "é" * (PASSWORD_BYTES // 2 + 1)}, "INVALID_REQUEST"),
        ({"service": "nope"}, "UNKNOWN_LOGIN_SERVICE"),
        ({"service": "no\0pe"}, "INVALID_REQUEST"),
        ({"username": 5}, "INVALID_REQUEST"),
        ({"username": ["a"]}, "INVALID_REQUEST"),
    ],
)
def test_bad_fields_are_400(api: Api, world: World, fields: dict[str, Any], error_code: str) -> None:
    good = {"username": world.user(), "password": PASSWORD, "service": world.login_service()}
    body = {name: value for name, value in (good | fields).items() if value is not None}
    api.call("POST", "/auth/login", json_body=body).refused(400, error_code)


@pytest.mark.parametrize("kind", ["form", "multipart", "json"])
def test_the_longest_body_logs_in(api: Api, world: World, kind: str) -> None:
    fields = {"username": world.user(), "password": PASSWORD, "service": world.login_service()}

    def encoded(padding: str) -> tuple[bytes, str]:
        if kind == "multipart":
            return multipart(**fields, padding=padding)
        if kind == "json":
            return json.dumps(fields | {"padding": padding}).encode(), "application/json"
        return urlencode(fields | {"padding": padding}).encode(), FORM

    body, content_type = encoded("a" * (MODEL_BODY_BYTES - len(encoded("")[0])))
    assert len(body) == MODEL_BODY_BYTES
    assert api.call("POST", "/auth/login", data=body, Content_Type=content_type, Accept="application/json").ok()


@pytest.mark.parametrize("kind", ["form", "multipart"])
def test_a_form_of_a_hundred_fields_logs_in(api: Api, world: World, kind: str) -> None:
    """Each one costs processor time, so that one more is refused."""
    fields = {"username": world.user(), "password": PASSWORD, "service": world.login_service()}
    for more, status in ((97, 200), (98, 400)):
        padded = fields | {f"field{number}": "a" for number in range(more)}
        body, content_type = multipart(**padded) if kind == "multipart" else (urlencode(padded).encode(), FORM)
        answer = api.call("POST", "/auth/login", data=body, Content_Type=content_type, Accept="application/json")
        assert answer.status == status


def test_the_largest_fields_are_let_through(api: Api, world: World) -> None:
    api.login("a" * ID_CHARACTERS, "é" * (PASSWORD_BYTES // 2), world.login_service()).refused(
        401, "INCORRECT_CREDENTIALS"
    )


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"username=a&password=%ff&service=s", FORM, 400),
        (b"username=\xff&password=b&service=s", FORM, 400),
        (b"username=a", FORM, 400),
        (b"&".join(b"a=b" for _ in range(200)), FORM, 400),
        (b"", FORM, 400),
        (multipart(username="a")[0], "multipart/form-data; boundary=frontier", 400),
        (multipart(username="a")[0][:40], "multipart/form-data; boundary=frontier", 400),
        (multipart(username="a")[0], "multipart/form-data", 400),
        (
            b'--f\r\nContent-Disposition: form-data; name="password"\r\n\r\n\xff\r\n--f--',
            "multipart/form-data; boundary=f",
            400,
        ),
        (b'{"username": "a"', "application/json", 400),
        (b'{"username": "\\ud800", "password": "b", "service": "c"}', "application/json", 400),
        (b'{"username": "\xff", "password": "b", "service": "c"}', "application/json", 400),
        (b"null", "application/json", 400),
        (b"[" * 50_000, "application/json", 400),
        (b"", "application/json", 400),
        (b"username=a&password=b&service=c", None, 400),
        (b"username=a&password=b&service=c", "text/plain", 415),
        (b"<a/>", "application/xml", 415),
        (b"a" * (MODEL_BODY_BYTES + 1), FORM, 413),
        (multipart(username="a" * 60_000)[0], "multipart/form-data; boundary=frontier", 400),
        (multipart(**{f"field{n}": "a" for n in range(200)})[0], "multipart/form-data; boundary=frontier", 400),
        (multipart(username="a" * MODEL_BODY_BYTES)[0], "multipart/form-data; boundary=frontier", 413),
    ],
    ids=lambda value: str(value)[:40],
)
def test_bad_bodies_are_refused(api: Api, body: bytes, content_type: str | None, status: int) -> None:
    api.call("POST", "/auth/login", data=body, Content_Type=content_type).refused(status)


def test_a_part_that_is_not_utf_8_is_not_guessed_at(api: Api, world: World) -> None:
    """Werkzeug reads a replacement character there, which is some other password."""
    user, service = world.user(password="\ufffd" * 8), world.login_service()
    good, content_type = multipart(username=user, password="\ufffd" * 8, service=service)
    bad = good.replace("\ufffd".encode(), b"\xff")
    for body, status in ((good, 200), (bad, 400)):
        answer = api.call("POST", "/auth/login", data=body, Content_Type=content_type, Accept="application/json")
        assert answer.status == status


EXPIRED = {
    "refresh_token": (
        "INSERT INTO refresh_token (token_hash, principal_id, scopes, access_token_lifetime_ms, expires_at)"
        " VALUES (%(key)s, %(user)s, '{a:read}', 1, now())",
        "SELECT FROM refresh_token WHERE token_hash = %(key)s",
    ),
    "jti_claim": (
        f"INSERT INTO jti_claim VALUES (encode(%(key)s, 'hex'), now() - interval '{CLAIM_DAYS} days')",
        "SELECT FROM jti_claim WHERE jti = encode(%(key)s, 'hex')",
    ),
    "login_limit": (
        "INSERT INTO login_limit (key, expires_at) VALUES (%(key)s, now())",
        "SELECT FROM login_limit WHERE key = %(key)s",
    ),
}


@pytest.mark.parametrize("kind", EXPIRED)
def test_a_login_purges_expired_rows(api: Api, world: World, database_url: str, kind: str) -> None:
    values, (insert, find) = {"key": secrets.token_bytes(32), "user": world.user()}, EXPIRED[kind]
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(insert, values)
        assert connection.execute(find, values).rowcount == 1
        api.login(world.user(), PASSWORD, world.login_service()).ok()
        assert connection.execute(find, values).rowcount == 0


@pytest.fixture
def purges(app: Flask, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The purges that were asked for. They fail; rows that had expired before are deleted first."""
    one, asked = Database.one, list[str]()
    while any(
        (request_class(app).database.one("expired_delete", batch=PURGE_ROWS, claim_days=CLAIM_DAYS) or {}).values()
    ):
        pass

    def failing(db: Database, name: str, /, **parameters: object) -> object:
        if name == "expired_delete":
            asked.append(name)
            raise DatabaseUnavailable
        return one(db, name, **parameters)

    monkeypatch.setattr(Database, "one", failing)
    return asked


def test_a_purge_that_fails_does_not_fail_the_login(api: Api, world: World, purges: list[str]) -> None:
    world.session(ttl=-1)
    tokens = api.login(world.user(), PASSWORD, world.login_service()).ok()
    assert api.refresh(tokens["refreshToken"]).status == 200
    assert purges
