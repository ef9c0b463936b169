"""What a browser may and may not send: every relevant combination of headers, good and bad, with its status.

Also CORS, and the address that a proxy reports.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

import pytest

from app import create_app
from auth.cli.keys import generate_private_key
from auth.config import Config, from_environment
from auth.core.keys import ALGORITHMS, Keyring, load_private_key
from auth.core.limits import ID_CHARACTERS, NAME_CHARACTERS, REFRESH_COOKIE_SECONDS

from .support.api import COOKIE, Answer, Api, any_address, request_class, send_to_app
from .support.lockouts import FAILURES
from .support.world import ORIGIN, PASSWORD, World, claims

KEYS = {algorithm: generate_private_key(algorithm) for algorithm in ALGORITHMS}
EVIL = "https://evil.example"
WEB = ["/auth/refresh/web", "/auth/logout/web"]
GOOD, WRONG, UNKNOWN = "good", "0" * 64, "unknown"

# Origin, Referer, Sec-Fetch-Site, X-CSRFToken, refresh cookie → status, error code
WEB_CALLS: list[tuple[str | None, str | None, str | None, str | None, str | None, int, str | None]] = [
    (ORIGIN, None, None, GOOD, GOOD, 200, None),
    (ORIGIN, None, "same-origin", GOOD, GOOD, 200, None),
    (ORIGIN, None, "same-site", GOOD, GOOD, 200, None),
    (ORIGIN, None, "none", GOOD, GOOD, 200, None),
    (ORIGIN, f"{EVIL}/page", None, GOOD, GOOD, 200, None),
    (None, f"{ORIGIN}/page?a=b#c", None, GOOD, GOOD, 200, None),
    (None, f"{ORIGIN}/@somebody", None, GOOD, GOOD, 200, None),
    (" ", f"{ORIGIN}/page", None, GOOD, GOOD, 200, None),
    (ORIGIN, None, "cross-site", GOOD, GOOD, 400, "UNTRUSTED_ORIGIN"),
    (ORIGIN, None, "Cross-Site", GOOD, GOOD, 400, "UNTRUSTED_ORIGIN"),
    (None, None, None, GOOD, GOOD, 400, "UNTRUSTED_ORIGIN"),
    (None, None, None, None, None, 400, "UNTRUSTED_ORIGIN"),
    ("", "", None, GOOD, GOOD, 400, "UNTRUSTED_ORIGIN"),
    (" ", " ", None, GOOD, GOOD, 400, "UNTRUSTED_ORIGIN"),
    ("null", None, None, GOOD, GOOD, 400, "UNTRUSTED_ORIGIN"),
    ("null", ORIGIN, None, GOOD, GOOD, 400, "UNTRUSTED_ORIGIN"),
    (EVIL, None, None, GOOD, GOOD, 400, "UNTRUSTED_ORIGIN"),
    (EVIL, ORIGIN, None, GOOD, GOOD, 400, "UNTRUSTED_ORIGIN"),
    (EVIL, None, "same-origin", GOOD, GOOD, 400, "UNTRUSTED_ORIGIN"),
    (None, f"{EVIL}/{ORIGIN}", None, GOOD, GOOD, 400, "UNTRUSTED_ORIGIN"),
    (" ", f"{EVIL}/", None, GOOD, GOOD, 400, "UNTRUSTED_ORIGIN"),
    (EVIL, None, None, None, None, 400, "UNTRUSTED_ORIGIN"),
    (ORIGIN, None, None, None, GOOD, 400, "MISSING_CSRF_TOKEN"),
    (ORIGIN, None, None, "", GOOD, 400, "MISSING_CSRF_TOKEN"),
    (ORIGIN, None, None, None, None, 400, "MISSING_CSRF_TOKEN"),
    (ORIGIN, None, None, GOOD, None, 400, "MISSING_REFRESH_COOKIE"),
    (ORIGIN, None, None, GOOD, "", 400, "MISSING_REFRESH_COOKIE"),
    (ORIGIN, None, None, WRONG, None, 400, "MISSING_REFRESH_COOKIE"),
    (ORIGIN, None, None, WRONG, GOOD, 401, "INVALID_TOKEN"),
    (ORIGIN, None, None, "é", GOOD, 401, "INVALID_TOKEN"),
    (ORIGIN, None, None, GOOD, UNKNOWN, 401, "INVALID_TOKEN"),
]


@pytest.mark.parametrize("path", WEB)
@pytest.mark.parametrize(("origin", "referer", "site", "csrf", "cookie", "status", "error_code"), WEB_CALLS)
def test_a_web_call(
    api: Api, world: World, path: str, origin: str | None, referer: str | None, site: str | None, csrf: str | None,
    cookie: str | None, status: int, error_code: str | None,
) -> None:  # fmt: skip
    session = world.session()
    answer = api.call(
        "POST",
        path,
        Origin=origin,
        Referer=referer,
        Sec_Fetch_Site=site,
        X_CSRFToken=session.csrf if csrf == GOOD else csrf,
        Cookie=None if cookie is None else f"{COOKIE}={session.refresh_token if cookie == GOOD else cookie}",
    )
    if status == 200:
        answer.ok()
        assert bool(answer.cookies) is (path == "/auth/logout/web")
    else:
        answer.refused(status, error_code)
        assert not answer.cookies
        assert api.refresh(session.refresh_token).status == 200


FORM, JSON = "application/x-www-form-urlencoded", "application/json"

# Origin, Referer, Content-Type → status
LOGINS: list[tuple[str | None, str | None, str | None, int]] = [
    (None, None, FORM, 200),
    (None, None, f"{FORM}; charset=UTF-8", 200),
    (ORIGIN, None, FORM, 200),
    (f"{ORIGIN}:443", None, FORM, 200),
    (None, f"{ORIGIN}/login?next=1", FORM, 200),
    (" ", "", FORM, 200),
    (ORIGIN, f"{EVIL}/", FORM, 200),
    (EVIL, None, FORM, 400),
    (EVIL, ORIGIN, FORM, 400),
    ("null", None, FORM, 400),
    (None, f"{EVIL}/", FORM, 400),
    (" ", f"{EVIL}/", FORM, 400),
    (None, "garbage", FORM, 400),
    (None, None, None, 400),
    (None, None, JSON, 400),
    (None, None, "multipart/form-data", 400),
    (None, None, "text/plain", 415),
    (None, None, "application/xml", 415),
]


@pytest.mark.parametrize(("origin", "referer", "content_type", "status"), LOGINS)
def test_a_login(
    api: Api, world: World, origin: str | None, referer: str | None, content_type: str | None, status: int
) -> None:
    answer = api.login(
        world.user(), PASSWORD, world.login_service(), Origin=origin, Referer=referer, Content_Type=content_type
    )
    if status == 200:
        assert answer.ok()["refreshToken"]
    else:
        answer.refused(status)
        assert not answer.cookies


@pytest.fixture
def deployed(config: Config) -> Iterator[Any]:
    """The service as it is with other settings, for a client at an address."""
    apps = []

    def deploy(address: str = "127.0.0.1", **settings: Any) -> Api:
        apps.append(create_app(replace(config, **settings)))
        return Api(send_to_app(apps[-1], address))

    yield deploy
    for app in apps:
        request_class(app).database.close()


def test_plain_http_has_a_plain_cookie(deployed: Any, world: World) -> None:
    for secure, name in ((True, "__Host-refreshToken"), (False, "refreshToken")):
        api = deployed(cookie_secure=secure)
        login = api.login(world.user(), PASSWORD, world.login_service(mode="WEB"), Accept="*/*")
        for cookie in (name, "authState"):
            set_cookie = next(v for n, v in login.headers if n == "Set-Cookie" and v.startswith(f"{cookie}="))
            attributes = {part.strip().partition("=")[0] for part in set_cookie.split(";")[1:]}
            expected = {"Max-Age", "Expires", "Path", "SameSite"}
            assert attributes == expected | ({"Secure"} if secure else set()) | (
                {"HttpOnly"} if cookie == name else set()
            )
        token = login.cookies[name].value
        session = world.session()
        headers: dict[str, Any] = {"Origin": ORIGIN, "X_CSRFToken": session.csrf}
        assert api.call("POST", WEB[0], Cookie=f"{name}={session.refresh_token}", **headers).status == 200
        other = "refreshToken" if secure else "__Host-refreshToken"
        api.call("POST", WEB[0], Cookie=f"{other}={token}", **headers).refused(400, "MISSING_REFRESH_COOKIE")
        both = f"{name}={session.refresh_token}; {other}={token}"
        assert api.call("POST", WEB[0], Cookie=both, **headers).status == 200


def test_a_cookie_expires_with_the_attributes_it_was_set_with(deployed: Any, world: World) -> None:
    for secure in (True, False):
        api, session = deployed(cookie_secure=secure), world.session()
        name = "__Host-refreshToken" if secure else "refreshToken"
        made = api.login(world.user(), PASSWORD, world.login_service()).cookies[name]
        cookie = f"{name}={session.refresh_token}"
        gone = api.call("POST", WEB[1], Origin=ORIGIN, X_CSRFToken=session.csrf, Cookie=cookie).cookies[name]
        for attribute in ("path", "domain", "secure", "httponly", "samesite"):
            assert made[attribute] == gone[attribute]
        assert (gone.value, gone["max-age"], made["max-age"]) == ("", "0", str(REFRESH_COOKIE_SECONDS))


NAME, ID = "😀" * NAME_CHARACTERS, "😀" * ID_CHARACTERS
ACCENTS, PLAIN = "é" * NAME_CHARACTERS, "x" * ID_CHARACTERS
EMOJI = {"first_names": NAME, "last_name": NAME, "email": ID, "org_id": ID}


@pytest.mark.parametrize("mode", ["WEB", "APPLICATION"])
@pytest.mark.parametrize("secure", [True, False])
@pytest.mark.parametrize(
    ("key", "person", "fits"),
    [
        ("ES256", {}, True),
        ("ES256", {"first_names": ACCENTS, "last_name": ACCENTS, "email": PLAIN, "org_id": PLAIN}, True),
        ("ES256", {"first_names": NAME, "last_name": NAME}, False),
        ("RS256", {"first_names": ACCENTS, "last_name": ACCENTS, "email": "é" * 200}, False),
        ("EdDSA", EMOJI, False),
    ],
    ids=["short", "long", "emoji", "RSA", "all"],
)
def test_a_browser_keeps_every_cookie_of_a_login(
    deployed: Any, world: World, key: str, person: dict[str, Any], fits: bool, secure: bool, mode: str
) -> None:
    """A browser drops a cookie over 4,096 bytes. `authState` then has no access token, which webRefresh gives."""
    keyring = Keyring(load_private_key(KEYS[key]))
    api, user = deployed(keyring=keyring, cookie_secure=secure), world.user(**person)
    answer = api.login(user, PASSWORD, world.login_service(mode=mode), Accept="text/html")
    cookies = [value for name, value in answer.headers if name == "Set-Cookie"]
    assert len(cookies) == 2
    assert all(len(cookie) <= 4096 for cookie in cookies)
    state = json.loads(unquote(answer.cookies["authState"].value))
    assert set(state) == {"accessToken", "csrfToken", "refreshToken"}
    assert (state["refreshToken"] is None) is (mode == "WEB")
    cookie = "__Host-refreshToken" if secure else "refreshToken"
    sent = {"Cookie": f"{cookie}={answer.cookies[cookie].value}", "X_CSRFToken": state["csrfToken"], "Origin": ORIGIN}
    refreshed = api.call("POST", "/auth/refresh/web", **sent).ok()["accessToken"]
    for token in (state["accessToken"], refreshed) if fits else (refreshed,):
        assert claims(token)["sub"] == user
        assert api.sessions(token).ok()["itemsInTotal"] == 1
    assert fits or state["accessToken"] == ""


# Proxies trusted, X-Forwarded-For → address that the session remembers, for a peer at 198.51.100.1
FORWARDED: list[tuple[int, str | None, str]] = [
    (0, None, "198.51.100.1"),
    (0, "203.0.113.9", "198.51.100.1"),
    (0, "203.0.113.9, 203.0.113.8", "198.51.100.1"),
    (1, None, "198.51.100.1"),
    (1, "203.0.113.9", "203.0.113.9"),
    (1, "6.6.6.6, 203.0.113.9", "203.0.113.9"),
    (1, "6.6.6.6,203.0.113.9", "203.0.113.9"),
    (1, "2001:db8::9", "2001:db8::9"),
    (1, "2001:DB8:0:0::9", "2001:db8::9"),
    (1, "::ffff:203.0.113.9", "203.0.113.9"),
    (1, "garbage", "198.51.100.1"),
    (1, "203.0.113.9, garbage", "198.51.100.1"),
    (1, "203.0.113.9,", "198.51.100.1"),
    (1, "203.0.113.9:41234", "203.0.113.9"),
    (1, "6.6.6.6:1, 203.0.113.9:65535", "203.0.113.9"),
    (1, "[2001:db8::9]:443", "2001:db8::9"),
    (1, "[2001:DB8:0:0::9]", "2001:db8::9"),
    (1, "[::ffff:203.0.113.9]:443", "203.0.113.9"),
    (1, "203.0.113.9:", "198.51.100.1"),
    (1, "203.0.113.9:x", "198.51.100.1"),
    (1, "203.0.113.9:-1", "198.51.100.1"),
    (1, "203.0.113.9:+1", "198.51.100.1"),
    (1, "203.0.113.9: 1", "198.51.100.1"),
    (1, "203.0.113.9:1:2", "198.51.100.1"),
    (1, "203.0.113.9:65536", "198.51.100.1"),
    (1, "203.0.113.9:000000001", "198.51.100.1"),
    (1, "203.0.113.9:\u0661", "198.51.100.1"),
    (1, "203.0.113.9/24", "198.51.100.1"),
    (1, "a@203.0.113.9:1", "198.51.100.1"),
    (1, "999.1.1.1:1", "198.51.100.1"),
    (1, "[203.0.113.9]:443", "198.51.100.1"),
    (1, "[2001:db8::9]:", "198.51.100.1"),
    (1, "[2001:db8::9]443", "198.51.100.1"),
    (1, "[2001:db8::9]:443x", "198.51.100.1"),
    (1, "[2001:db8::9", "198.51.100.1"),
    (1, "[[2001:db8::9]]", "198.51.100.1"),
    (1, "[]", "198.51.100.1"),
    (1, "[2001:db8::9%eth0]:443", "198.51.100.1"),
    (1, "fe80::9%eth0", "fe80::9"),
    (1, '"203.0.113.9:1"', "198.51.100.1"),
    (1, '"[2001:db8::9]:443"', "198.51.100.1"),
    (1, "for=203.0.113.9", "198.51.100.1"),
    (1, "unknown", "198.51.100.1"),
    (1, "_hidden", "198.51.100.1"),
    (2, "203.0.113.9:41234, 10.0.0.1:80", "203.0.113.9"),
    (1, "999.1.1.1", "198.51.100.1"),
    (1, "", "198.51.100.1"),
    (1, '", 203.0.113.9', "203.0.113.9"),
    (1, '"6.6.6.6, 203.0.113.9', "203.0.113.9"),
    (2, "203.0.113.9", "198.51.100.1"),
    (2, "203.0.113.9, 10.0.0.1", "203.0.113.9"),
    (2, "6.6.6.6, 203.0.113.9, 10.0.0.1", "203.0.113.9"),
]


@pytest.mark.parametrize(("proxies", "forwarded", "address"), FORWARDED)
def test_the_address_that_counts(
    deployed: Any, world: World, proxies: int, forwarded: str | None, address: str
) -> None:
    api = deployed("198.51.100.1", trusted_proxies=proxies)
    login = api.login(world.user(), PASSWORD, world.login_service(), X_Forwarded_For=forwarded, X_Real_IP="6.6.6.6")
    [session] = api.sessions(login.ok()["accessToken"]).ok()["items"]
    assert session["ipAddress"] == address


def test_a_forged_header_does_not_escape_a_cooldown(deployed: Any, world: World) -> None:
    user, service = world.user(), world.login_service()
    api = deployed(any_address(), trusted_proxies=0)
    for _ in range(FAILURES):
        api.login(user, "wrong", service, X_Forwarded_For=any_address()).refused(401)
    api.login(user, PASSWORD, service, X_Forwarded_For=any_address()).refused(429)


def shared_with(answer: Answer) -> str | None:
    """The origin whose pages may read the answer."""
    assert "Origin" in (answer.header("Vary") or "")
    origin = answer.header("Access-Control-Allow-Origin")
    assert (answer.header("Access-Control-Allow-Credentials") == "true") is (origin is not None)
    assert (answer.header("Access-Control-Expose-Headers") == "Retry-After, X-Request-Id") is (origin is not None)
    return origin


def test_only_trusted_pages_read_answers(api: Api, world: World) -> None:
    session = world.session()
    for origin, shared in (
        (ORIGIN, ORIGIN),
        (EVIL, None),
        ("null", None),
        (None, None),
        (f"{ORIGIN}.evil.example", None),
    ):
        assert shared_with(api.call("GET", "/auth/sessions", session.access_token, Origin=origin)) == shared
        for method, path in (("GET", "/auth/sessions"), ("POST", "/auth/nothing"), ("PUT", "/auth/login")):
            refused = api.call(method, path, Origin=origin)
            assert refused.status in (401, 404, 405)
            assert shared_with(refused) == shared


@pytest.mark.parametrize(
    ("sent", "is_trusted"),
    [
        ("capacitor://localhost", True),
        ("ionic://localhost", True),
        ("tauri://localhost", True),
        ("app://obsidian.md", True),
        ("app://x:8080", True),
        ("Capacitor://LocalHost", True),
        ("chrome-extension://abcdefghijklmnopabcdefghijklmnop", True),
        ("capacitor://localhost:80", False),
        ("capacitor://localhost.evil.example", False),
        ("capacitor://a@localhost", False),
        ("capacitor://", False),
        ("capacitor:localhost", False),
        ("http://localhost", False),
        ("https://localhost", False),
        ("app://x", False),
        ("app://x:443", False),
        ("xcapacitor://localhost", False),
        ("//localhost", False),
        ("file://localhost", False),
        ("file://", False),
        ("null", False),
    ],
)
def test_the_page_of_an_app_has_an_origin_too(
    deployed: Any, world: World, environment: dict[str, str], sent: str, is_trusted: bool
) -> None:
    apps = "capacitor://localhost,ionic://localhost,tauri://localhost,app://obsidian.md,APP://X:8080"
    config = from_environment({**environment, "TRUSTED_ORIGINS": f"{apps},chrome-extension://{'abcdefghijklmnop' * 2}"})
    api, session = deployed(trusted_origins=config.trusted_origins), world.session()
    assert shared_with(api.call("GET", "/auth/sessions", session.access_token, Origin=sent)) == (
        sent if is_trusted else None
    )
    answer = api.web_refresh(session.refresh_token, session.csrf, sent)
    assert answer.ok() if is_trusted else answer.refused(400, "UNTRUSTED_ORIGIN")


def test_an_outage_is_readable_across_origins(deployed: Any) -> None:
    api = deployed(database_url="postgresql://127.0.0.1:1/none")
    answer = api.call("POST", "/auth/refresh", "x", Origin=ORIGIN).refused(503, "DATABASE_UNAVAILABLE")
    assert shared_with(answer) == ORIGIN
    assert answer.header("Retry-After") == "1"


def test_a_preflight(api: Api) -> None:
    asked: dict[str, Any] = {
        "Access_Control_Request_Method": "DELETE",
        "Access_Control_Request_Headers": "authorization",
    }
    answer = api.call("OPTIONS", "/auth/sessions", Origin=ORIGIN, **asked)
    assert (answer.status, shared_with(answer)) == (200, ORIGIN)
    assert answer.header("Access-Control-Allow-Methods") == "GET, POST, DELETE"
    allowed = "Authorization, Content-Type, Idempotency-Key, X-CSRFToken, X-Request-Id"
    tracing = "traceparent, tracestate, baggage, sentry-trace"
    assert answer.header("Access-Control-Allow-Headers") == f"{allowed}, {tracing}"
    assert answer.header("Access-Control-Max-Age") == "600"
    answer = api.call("OPTIONS", "/auth/sessions", Origin=EVIL, **asked)
    assert shared_with(answer) is None
    assert answer.header("Access-Control-Allow-Methods") is None


def test_keys_are_readable_from_anywhere(api: Api) -> None:
    answer = api.call("GET", "/.well-known/jwks.json", Origin=EVIL)
    assert answer.header("Access-Control-Allow-Origin") == "*"
    assert answer.header("Access-Control-Allow-Credentials") is None
