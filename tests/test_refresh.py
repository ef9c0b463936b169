"""refresh and webRefresh."""

import time

import pytest

from auth.core import refresh_tokens
from auth.core.limits import ACCESS_TOKEN_MS, COOKIE_CHARACTERS

from .support.api import COOKIE, Api
from .support.world import ORIGIN, World, claims


def test_a_refresh_token_mints_access_tokens_again_and_again(api: Api, world: World) -> None:
    session = world.session()
    first = claims(api.refresh(session.refresh_token).ok()["accessToken"])
    second = claims(api.refresh(session.refresh_token).ok()["accessToken"])
    assert first["sub"] == second["sub"] == session.id
    assert first["publicSessionReference"] == claims(session.access_token)["publicSessionReference"]
    assert first["exp"] - first["iat"] == ACCESS_TOKEN_MS // 1000
    assert abs(first["iat"] - time.time()) < 30


def test_the_scheme_is_bearer_in_any_case(api: Api, world: World) -> None:
    token = world.session().refresh_token
    for scheme in ("bearer", "BEARER", "Bearer"):
        assert api.call("POST", "/auth/refresh", Authorization=f"{scheme} {token}").status == 200
    for value in (token, f"Basic {token}", f"Bearer{token}", "Bearer", "Bearer ", f"Token {token}", ""):
        answer = api.call("POST", "/auth/refresh", Authorization=value).refused(401, "INVALID_TOKEN")
        assert answer.header("WWW-Authenticate") == "Bearer"


def test_only_a_living_token_of_somebody_enabled_refreshes(api: Api, world: World) -> None:
    disabled = world.session()
    world.db.one("principal_disable", id=disabled.id)
    expired = world.session(ttl=-1)
    access_token = world.session().access_token
    for token in (
        None,
        "unknown",
        "é",
        refresh_tokens.generate(),
        disabled.refresh_token,
        expired.refresh_token,
        access_token,
    ):
        answer = api.refresh(token).refused(401, "INVALID_TOKEN")
        assert answer.json["why"] == "Invalid token"
    world.db.one("principal_enable", id=disabled.id)
    assert api.refresh(disabled.refresh_token).status == 200


@pytest.mark.parametrize(("characters", "status"), [(COOKIE_CHARACTERS, 200), (COOKIE_CHARACTERS + 1, 400)])
def test_a_cookie_header_has_a_limit(api: Api, world: World, characters: int, status: int) -> None:
    session = world.session()
    cookie = f"{COOKIE}={session.refresh_token}; other=".ljust(characters, "a")
    answer = api.call("POST", "/auth/refresh/web", Cookie=cookie, X_CSRFToken=session.csrf, Origin=ORIGIN)
    assert answer.status == status


def test_a_cookie_and_its_csrf_token_refresh(api: Api, world: World) -> None:
    session = world.session()
    answer = api.web_refresh(session.refresh_token, session.csrf, ORIGIN)
    assert set(answer.ok()) == {"accessToken", "csrfToken"}
    assert answer.json["csrfToken"] == session.csrf
    assert claims(answer.json["accessToken"])["sub"] == session.id
    assert not answer.cookies


@pytest.mark.parametrize(
    ("origin", "trusted"),
    [
        (ORIGIN, True),
        ("HTTPS://Cloud.Example.ORG", True),
        (f"{ORIGIN}:443", True),
        (f"{ORIGIN}/some/page", True),
        (f"{ORIGIN}:444", False),
        ("http://cloud.example.org", False),
        ("https://cloud.example.org.evil.example", False),
        ("https://evil.example/cloud.example.org", False),
        ("https://cloud.example.org@evil.example", False),
        ("https://user@cloud.example.org", False),
        ("https://evil.example\\@cloud.example.org", False),
        ("https://cloud.example.org\\.evil.example", False),
        ("https://cloud.example.org, https://evil.example", False),
        ("https://cloud.example.org:x", False),
        ("https://cloud.example.org.", False),
        ("https://[cloud.example.org", False),
        ("//cloud.example.org", False),
        ("cloud.example.org", False),
        ("ftp://cloud.example.org", False),
    ],
)
def test_an_origin_is_scheme_host_and_port(api: Api, world: World, origin: str, trusted: bool) -> None:
    session = world.session()
    answer = api.web_refresh(session.refresh_token, session.csrf, origin)
    assert answer.status == (200 if trusted else 400)


def test_two_different_refresh_cookies_are_ambiguous(api: Api, world: World) -> None:
    session, other = world.session(), world.session()
    mine, theirs = f"{COOKIE}={session.refresh_token}", f"{COOKIE}={other.refresh_token}"

    def status(cookie: str) -> int:
        return api.call("POST", "/auth/refresh/web", Cookie=cookie, X_CSRFToken=session.csrf, Origin=ORIGIN).status

    assert status(f"a=b; {mine}; {mine}") == 200
    assert status(f"{mine}; {theirs}") == 400
    assert status(f"{mine},{theirs}") == 400  # two Cookie headers, as gunicorn joins them
    assert status(f"a=1,{mine}") == 400  # a value of somebody else's cookie is no cookie
    assert status(f"a=1,{theirs}; {mine}") == 200


def test_other_cookies_may_hold_anything(api: Api, world: World) -> None:
    session = world.session()
    for other in ("lang=\xe9", "lang=\xff\xfe", 'q="a b"', "=", ";;", "a", "é=1"):
        cookie = f"{other}; {COOKIE}={session.refresh_token}"
        answer = api.call("POST", "/auth/refresh/web", Cookie=cookie, X_CSRFToken=session.csrf, Origin=ORIGIN)
        assert answer.status == 200, other


def test_a_csrf_token_does_not_fit_another_session(api: Api, world: World) -> None:
    user = world.user()
    session, other = world.session(user), world.session(user)
    assert session.csrf != other.csrf
    api.web_refresh(session.refresh_token, other.csrf, ORIGIN).refused(401, "INVALID_TOKEN")
