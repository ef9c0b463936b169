"""The replayed requests, in their order: later ones see what earlier ones have changed.

`<name>` in a request stands for a token below, or for what an earlier call was answered: `<name of the call.member>`.
"""

import json as json_
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote_plus

PASSWORD: Final = "correct horse battery staple"
NEW_PASSWORD: Final = "nine violet otters juggle lanterns"
ORIGIN: Final = "Origin: https://cloud.example.org"
STRANGE_ORIGIN: Final = "Origin: https://evil.example.org"

REFRESH_TOKENS: Final = ("token-web", "token-web-2", "token-expired", "token-of-ada", "unknown")

_SESSION: Final = "a0000000-0000-4000-8000-0000000000"
_DELEGATION: Final = "c0000000-0000-4000-8000-0000000000"


def _person(sub: str, uid: int, number: int, role: str = "USER", **changed: Any) -> dict[str, Any]:
    reference = f"{_SESSION}{number}"
    claims = {"sub": sub, "uid": uid, "role": role, "principalType": "password", "publicSessionReference": reference}
    return claims | changed


def _ada(**changed: Any) -> dict[str, Any]:
    return _person("ada", 101, 11) | changed


def _service(sub: str, uid: int, number: int, role: str = "SERVICE", **changed: Any) -> dict[str, Any]:
    return _person(sub, uid, number, role, principalType=role.lower()) | changed


# The claims of the access tokens, beside those that all have; times are seconds from now.
TOKENS: Final[dict[str, dict[str, Any]]] = {
    "ada": _ada(),
    "root": _person("root", 102, 14, "ADMIN"),
    "guest": _person("guest", 103, 15, "GUEST"),
    "third": _person("third", 104, 16, "THIRD_PARTY_APP"),
    "wayf": _person("wayf", 105, 17, principalType="wayf"),
    "gone": _person("gone", 106, 18),
    "carl": _person("carl", 107, 19),
    "carl-2": _person("carl", 107, 20),
    "dora": _person("dora", 108, 21),
    "many": _person("many", 110, 99, publicSessionReference="b0000000-0000-4000-8000-000000000022"),
    "bert": _person("bert", 111, 23),
    "bert-2": _person("bert", 111, 24),
    "lock": _person("lock", 112, 35),
    "storage": _service("#P_storage", 115, 31, "PROVIDER"),
    "files": _service("_files", 116, 32),
    "mail": _service("_mail", 117, 33),
    "wide": _service("_wide", 118, 34),
    # tokens that are narrower than a session's
    "read": _ada(aud=["files:read"]),
    "files service, read": _service("_files", 116, 32, aud=["files:read"]),
    "extended": _ada(
        aud=["all:write"], extendedBy="_files", extendedByChain=["_files"], publicSessionReference=f"{_DELEGATION}11"
    ),
    "extended, files": _ada(
        aud=["files:read"], extendedBy="_files", extendedByChain=["_files"], publicSessionReference=f"{_DELEGATION}11"
    ),
    "extended, jobs": _ada(
        aud=["auth.claim:write", "auth.requestOneTimeTokenWithAudience:write", "files:read"],
        extendedBy="_files",
        extendedByChain=["_files"],
        publicSessionReference=f"{_DELEGATION}11",
    ),
    "chain of 8": _ada(
        aud=["files:read"],
        extendedBy="_files",
        extendedByChain=["_files", "_mail"] * 4,
        publicSessionReference=f"{_DELEGATION}11",
    ),
    "once": _ada(jti="11111111"),
    "files service, once": _service("_files", 116, 32, jti="11111111"),
    # tokens that are refused
    "expired": _ada(iat=-700, exp=-60),
    "from the future": _ada(iat=60),
    "not before": _ada(nbf=60),
    "without exp": _ada(exp=None),
    "without iat": _ada(iat=None),
    "without role": _ada(role=None),
    "unknown role": _ada(role="KING"),
    "unknown issuer": _ada(iss="example.org"),
    "stranger": _ada(stranger=True),
    "unknown kid": _ada(header={"kid": "x"}),
    "alg none": _ada(header={"alg": "none"}),
    "crit": _ada(header={"crit": ["exp"]}),
    "one audience": _ada(aud="all:write"),
    "no audience": _ada(aud=[]),
    "malformed scope": _ada(aud=["all"]),
    "no session": _ada(publicSessionReference=f"{_SESSION}99"),
    "another's session": _ada(publicSessionReference=f"{_SESSION}14"),
    "expired session": _ada(publicSessionReference=f"{_SESSION}13"),
    "another uid": _ada(uid=102),
    "no reference": _ada(publicSessionReference=None),
    "sub of 256": _ada(sub="a" * 256),
    "files service, ended": _service("_files", 116, 99),
}


@dataclass(frozen=True)
class Call:
    name: str
    request: bytes
    body_differs: bool = False  # in each run; only the head of the answer is compared


def call(name: str, route: str, *headers: str, body: str | bytes | None = None, differs: bool = False) -> Call:
    """A request. `<length>` in it is the length of its body."""
    data = body.encode() if isinstance(body, str) else body
    lines = [route if " HTTP/" in route else f"{route} HTTP/1.1", "Host: auth.example.org", *headers]
    lines += (
        [] if data is None or any("Transfer-Encoding" in each for each in headers) else ["Content-Length: <length>"]
    )
    return Call(name, "\r\n".join([*lines, "", ""]).encode("latin-1") + (data or b""), differs)


def bearer(token: str) -> str:
    return f"Authorization: Bearer <{token}>"


def json(name: str, route: str, content: Any, *headers: str) -> Call:
    body = content if isinstance(content, str | bytes) else json_.dumps(content, ensure_ascii=False)
    return call(name, route, "Content-Type: application/json", *headers, body=body)


# --- What all calls share ---------------------------------------------------------------------------------------------

# Name, route, a token that may make the call, and a role that may not.
GUARDED: Final = [
    ("bulkInvalidate", "POST /auth/logout/bulk", "files service", "ada"),
    ("requestOneTimeToken", "POST /auth/request?audience=files:read", "ada", "guest"),
    ("claim", "POST /auth/claim?jti=guarded", "files service", "third"),
    ("tokenExtension", "POST /auth/extend", "files service", "ada"),
    ("listUserSessions", "GET /auth/sessions", "ada", "files"),
    ("invalidateSessions", "DELETE /auth/sessions", "ada", "storage"),
    ("invalidateSession", f"DELETE /auth/sessions/{_SESSION}12", "ada", "guest"),
    ("listDelegations", "GET /auth/delegations", "ada", "third"),
    ("invalidateDelegation", f"DELETE /auth/delegations/{_DELEGATION}11", "ada", "files"),
    ("invalidateDelegations", "DELETE /auth/delegations", "ada", "guest"),
    ("changePassword", "POST /auth/password", "ada", "mail"),
]
PATHS: Final = [
    *("/auth/login", "/auth/refresh", "/auth/refresh/web", "/auth/logout", "/auth/logout/web", "/auth/logout/bulk"),
    *("/auth/request", "/auth/claim", "/auth/extend", "/auth/sessions", "/auth/sessions/x", "/auth/delegations"),
    *("/auth/delegations/x", "/auth/password", "/auth/password/reset"),
    *("/.well-known/jwks.json", "/openapi.json", "/livez", "/readyz", "/metrics"),
]
UNKNOWN_PATHS: Final = ["/", "/auth", "/auth/", "/auth/nothing", "/authority", "/api", "/favicon.ico"]
REFUSED: Final = [name for name in list(TOKENS)[list(TOKENS).index("expired") :] if not name.startswith("files")]


def guarded() -> Iterator[Call]:
    for name, route, caller, other in GUARDED:
        narrow, ended = ("files service, read", "files service, ended") if caller != "ada" else ("read", "no session")
        once = "files service, once" if caller != "ada" else "once"
        json_body = () if " /auth/sessions" in route else ("Content-Type: application/json",)
        yield call(f"{name}: no token", route)
        for reason, token in (("role", other), ("scope", narrow), ("ended", ended), ("once", once)):
            yield call(f"{name}: refused by {reason}", route, bearer(token), *json_body, body="not read")
    for name, route, caller, _other in GUARDED[4:]:
        if caller == "ada":
            yield call(f"{name}: extended", route, bearer("extended"))


def tokens() -> Iterator[Call]:
    for token in REFUSED:
        yield call(f"token: {token}", "GET /auth/sessions?itemsPerPage=10", bearer(token))
    for number, value in enumerate([
        "Bearer", "Bearer ", "Basic YWRhOmFkYQ==", "bearer <ada>", "BEARER   <ada>  ", "Bearer <ada>x", "Bearer\t<ada>",
        "Bearer <ada> <ada>", "Bearer a.b.c", "Bearer é.é.é", "Bearer token-ada", "<ada>", "",
    ]):  # fmt: skip
        yield call(f"authorization {number}", "GET /auth/sessions?itemsPerPage=10", f"Authorization: {value}")
    yield call("authorization twice", "GET /auth/sessions", bearer("ada"), bearer("ada"))
    yield call("authorization in the query", "GET /auth/sessions?access_token=<ada>")


def preflights() -> Iterator[Call]:
    asked = ("Access-Control-Request-Method: POST", "Access-Control-Request-Headers: authorization,x-csrftoken")
    for path in [*PATHS, *UNKNOWN_PATHS]:
        yield call(f"preflight of {path}", f"OPTIONS {path}", ORIGIN, *asked)
    for path in ["/auth/login", "/auth/sessions", "/auth/sessions/x", "/auth/nothing", "/", *PATHS[15:]]:
        yield call(f"options of {path}", f"OPTIONS {path}")
    yield call("preflight, strange origin", "OPTIONS /auth/login", STRANGE_ORIGIN, *asked)
    yield call("preflight, no origin", "OPTIONS /auth/login", *asked)
    yield call("preflight, no method", "OPTIONS /auth/login", ORIGIN)
    yield call("preflight, null origin", "OPTIONS /auth/login", "Origin: null", *asked)
    yield call("preflight, other method", "OPTIONS /auth/login", ORIGIN, "Access-Control-Request-Method: PUT")
    yield call("preflight, other spelling", "OPTIONS /auth/login", "Origin: HTTPS://Cloud.Example.org:443", *asked)
    yield call("preflight, trailing slash", "OPTIONS /auth/login/", ORIGIN, *asked)
    yield call("preflight of *", "OPTIONS *", ORIGIN, *asked)


def methods() -> Iterator[Call]:
    for path in PATHS:
        yield call(f"PUT {path}", f"PUT {path}", ORIGIN)
    for path in [
        "/auth/login",
        "/auth/sessions",
        "/auth/sessions/x",
        "/auth/delegations",
        "/auth/nothing",
        *PATHS[15:],
    ]:
        yield call(f"HEAD {path}", f"HEAD {path}", differs=path == "/metrics")
    for path in PATHS[:3]:
        yield call(f"GET {path}", f"GET {path}")
    for route in ("POST /livez", "DELETE /metrics", "PATCH /auth/login", "TRACE /auth/login", "POST /auth/sessions"):
        yield call(f"method: {route}", route, ORIGIN)
    yield call("method: lower case", "get /livez")
    yield call("method: unknown", "FETCH /livez")
    yield call("method: with a body", "PUT /auth/login", "Content-Type: application/json", body="{}")
    yield call("HEAD with a token", "HEAD /auth/sessions?itemsPerPage=10", bearer("ada"))
    yield call("HEAD with a token, delegations", "HEAD /auth/delegations", bearer("ada"), ORIGIN)


def odd_paths() -> Iterator[Call]:
    for target in (
        *UNKNOWN_PATHS, "/auth/login/", "/auth//login", "//auth/login", "/auth/%6cogin", "/auth%2flogin", "/AUTH/login",
        "/auth/./login", "/auth/x/../login", "/auth/login/..", "/auth/login;x", "/auth/login%00", "/auth/login%20",
        "/auth/login%0a", "/auth/sessions/", "/auth/sessions/x/y", "/auth/sessions/%2f", "/auth/%ff", "/auth/%c3%a9",
        "/auth/é", "/livez/", "//livez", "/%6civez", "/.well-known/", "/.well-known/openid-configuration", "/metrics/x",
        "http://auth.example.org/auth/login", "http://auth.example.org/livez", "/auth/\"x\"", "/static/x",
    ):  # fmt: skip
        yield call(f"path {target}", f"GET {target}", ORIGIN)
    yield call("path: POST to an unknown one", "POST /auth/nothing", ORIGIN, body="{}")
    yield call("path: DELETE of an unknown one", "DELETE /nothing", bearer("ada"))
    yield call("path: a long one", "GET /auth/" + "a" * 3000)
    yield call("path: too long", "GET /auth/" + "a" * 5000)


def plain() -> Iterator[Call]:
    yield call("livez", "GET /livez")
    yield call("livez with an origin", "GET /livez", ORIGIN)
    yield call("livez with a query", "GET /livez?x=1&x=%ff")
    yield call("livez with a body", "GET /livez", body="{}")
    yield call("readyz", "GET /readyz")
    yield call("metrics", "GET /metrics", differs=True)
    yield call("metrics, OpenMetrics", "GET /metrics", "Accept: application/openmetrics-text", differs=True)
    yield call("metrics, gzip", "GET /metrics", "Accept-Encoding: gzip", differs=True)
    yield call("jwks", "GET /.well-known/jwks.json")
    yield call("jwks with an origin", "GET /.well-known/jwks.json", STRANGE_ORIGIN)
    yield call("openapi", "GET /openapi.json")
    for header in (
        "If-None-Match: *", "If-Modified-Since: Wed, 01 Jan 2031 00:00:00 GMT", "Range: bytes=0-1", "If-Match: x",
        "Accept: text/html", "Accept-Encoding: gzip, br", "X-HTTP-Method-Override: DELETE", "Expect: 100-continue",
        "Expect: x", "Upgrade: h2c", "X-Forwarded-Host: evil.example.org", "X-Forwarded-Prefix: /x", "SCRIPT_NAME: /x",
    ):  # fmt: skip
        yield call(f"header {header}", "GET /.well-known/jwks.json", header)


def protocol() -> Iterator[Call]:
    for given in ("abc-123", "A.b_c=+/:-9", "a" * 128, "a" * 129, "", "a b", "é", "a;b", "<uuid>", "a, b"):
        given = given.replace("<uuid>", f"{_SESSION}77")
        yield call(f"X-Request-Id {given[:20]} of {len(given)}", "GET /livez", f"X-Request-Id: {given}")
    yield call("X-Request-Id of an error", "POST /auth/refresh", "X-Request-Id: r-1", ORIGIN)
    yield call("X-Request-Id twice", "GET /livez", "X-Request-Id: r-1", "X-Request-Id: r-2")
    for connection in ("close", "keep-alive", "Close, TE", "upgrade"):
        yield call(f"connection {connection}", "POST /auth/refresh", f"Connection: {connection}")
        yield call(f"connection {connection}, 1.0", "POST /auth/refresh HTTP/1.0", f"Connection: {connection}")
    yield call("1.0", "GET /livez HTTP/1.0")
    yield call("1.0 with a body", "POST /auth/login HTTP/1.0", "Content-Type: application/json", body="{}")
    yield Call("1.0 without Host", b"GET /livez HTTP/1.0\r\n\r\n")
    yield Call("1.1 without Host", b"GET /livez HTTP/1.1\r\n\r\n")
    yield Call("0.9", b"GET /livez\r\n\r\n")
    yield Call("2.0", b"GET /livez HTTP/2.0\r\nHost: a\r\n\r\n")
    yield Call("no request", b"\x16\x03\x01\x02\x00\r\n\r\n")
    yield Call("two requests", b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\nGET /nothing HTTP/1.1\r\nHost: a\r\n\r\n")
    yield Call("two requests, closed", b"GET /livez HTTP/1.1\r\nConnection: close\r\n\r\nGET /livez HTTP/1.1\r\n\r\n")
    yield Call("a request after a body that is not read",
               b"POST /auth/refresh HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}GET /livez HTTP/1.1\r\n\r\n")  # fmt: skip
    yield Call("a header without a colon", b"GET /livez HTTP/1.1\r\nHost\r\n\r\n")
    yield Call("a header on two lines", b"GET /livez HTTP/1.1\r\nX: a\r\n b\r\n\r\n")
    yield call("a header with NUL", "GET /livez", "X: \0")
    yield call("two lengths", "POST /auth/login", "Content-Length: 2", "Content-Length: 3")
    yield call(
        "length and chunks", "POST /auth/login", "Content-Length: 2", "Transfer-Encoding: chunked", body="0\r\n\r\n"
    )
    yield call("an unknown coding", "POST /auth/login", "Transfer-Encoding: x", body="0\r\n\r\n")
    yield call("too many headers", "GET /livez", *["X: a"] * 101)
    yield call("a long header", "GET /livez", "X: " + "a" * 40_000)


def bodies() -> Iterator[Call]:
    chunked = ("Content-Type: application/json", "Transfer-Encoding: chunked")
    length = "Content-Length: {}".format
    for path in ("/auth/login", "/auth/refresh"):
        yield call(f"body of {path}: 2 MiB and more", f"POST {path}", chunked[0], length(2 * 1024 * 1024 + 1), ORIGIN)
        yield call(f"body of {path}: chunks", f"POST {path}", *chunked, body="2\r\n{}\r\n0\r\n\r\n")
        yield call(f"body of {path}: bad chunks", f"POST {path}", *chunked, body="zz\r\n{}\r\n0\r\n\r\n")
        yield call(f"body of {path}: too short", f"POST {path}", chunked[0], length(9), body=None)
    for size in (4096, 4097, 65536, 65537):
        yield json(f"body of refresh: {size} bytes", "POST /auth/refresh", " " * size, "Authorization: Bearer x")
        yield json(f"body of login: {size} bytes", "POST /auth/login", " " * size)
        yield json(f"body of resetPassword: {size} bytes", "POST /auth/password/reset", " " * size)
    yield call("body of bulk: too long", "POST /auth/logout/bulk", bearer("files"), length(2 * 1024 * 1024 + 1))
    yield json("body of bulk: 100 KB", "POST /auth/logout/bulk", '{"tokens":[]' + " " * 100_000 + "}", bearer("files"))
    yield json("body of a GET", "GET /auth/sessions?itemsPerPage=10", "x", bearer("ada"))
    yield json("body of a GET, too long", "GET /auth/sessions?itemsPerPage=10", "x" * 5000, bearer("ada"))
    yield call("body of a GET, bad chunks", "GET /auth/sessions", bearer("ada"), *chunked, body="zz\r\n")


# --- The calls --------------------------------------------------------------------------------------------------------

FORM: Final = "Content-Type: application/x-www-form-urlencoded"
ACCEPT: Final = "Accept: application/json"


def form(name: str, username: str, password: str, service: str, *headers: str) -> Call:
    fields = {"username": username, "password": password, "service": service}
    body = "&".join(f"{field}={quote_plus(value)}" for field, value in fields.items())
    return call(name, "POST /auth/login", FORM, *headers, body=body)


def multipart(name: str, *fields: str, content_type: str = "multipart/form-data; boundary=x", **others: Any) -> Call:
    parts = [f'--x\r\nContent-Disposition: form-data; name="{field}"\r\n\r\n{value}\r\n'
             for field, _, value in (each.partition("=") for each in fields)]  # fmt: skip
    return call(name, "POST /auth/login", f"Content-Type: {content_type}", ACCEPT, body="".join(parts) + "--x--\r\n")


def logins() -> Iterator[Call]:
    yield form("login", "ada", PASSWORD, "app", ACCEPT, "User-Agent: Agent/2 é", "X-Forwarded-For: 203.0.113.9")
    yield form("login, web", "web", PASSWORD, "web", "Accept: text/html, Application/JSON;q=0.1", ORIGIN)
    yield form("login, page", "ada", PASSWORD, "web", "Accept: text/html,*/*")
    yield form("login, page of an application", "ada", PASSWORD, "app", "Accept: */*", ORIGIN)
    yield form("login, idle", "ada", PASSWORD, "idle", ACCEPT, "Referer: https://cloud.example.org/x")
    credentials = {"username": "ada", "password": PASSWORD, "service": "app"}
    yield json("login, JSON", "POST /auth/login", credentials | {"unknown": [1]}, ACCEPT)
    yield multipart("login, multipart", "username=ada", f"password={PASSWORD}", "service=web")
    yield form("login, wrong password", "ada", "wrong", "app", ACCEPT, ORIGIN, "X-Forwarded-For: 203.0.113.10")
    yield form("login, unknown user", "nobody", PASSWORD, "app", ACCEPT)
    yield form("login, disabled user", "gone", PASSWORD, "app", ACCEPT)
    yield form("login, no password", "wayf", PASSWORD, "app")
    yield form("login, unknown service", "ada", PASSWORD, "nothing", ACCEPT)
    yield form("login, strange origin", "ada", PASSWORD, "app", STRANGE_ORIGIN)
    yield form("login, strange referer", "ada", PASSWORD, "app", "Referer: https://evil.example.org/")
    yield form("login, blank origin", "ada", "wrong", "nothing", "Origin:  ")
    yield form("login, null origin", "ada", PASSWORD, "app", "Origin: null")
    for name, fields in {
        "empty username": ("", PASSWORD, "app"), "empty password": ("ada", "", "app"), "no service": ("ada", "x", ""),
        "long username": ("a" * 256, "x", "app"), "long password": ("ada", "x" * 1025, "app"),
        "long password in bytes": ("ada", "é" * 513, "app"), "long service": ("ada", "x", "a" * 256),
        "NUL in the username": ("a\0", "x", "app"), "NUL in the service": ("ada", "x", "a\0"),
        "NUL in the password": ("nobody", "x\0", "app"), "control characters": ("a\x01\n", "x", "app"),
    }.items():  # fmt: skip
        yield form(f"login, {name}", *fields)
    yield call("login, no body", "POST /auth/login", FORM)
    yield call("login, no media type", "POST /auth/login", body="username=ada")
    yield call("login, no media type, no body", "POST /auth/login")
    yield call("login, text", "POST /auth/login", "Content-Type: text/plain", body="username=ada")
    yield call("login, XML", "POST /auth/login", "Content-Type: application/xml; charset=x", body="login")
    yield call("login, odd media type", "POST /auth/login", "Content-Type: ;;;", body="x")
    yield call(
        "login, form with a charset", "POST /auth/login", f"{FORM}; charset=latin1", body="username=%E9&password=x"
    )
    yield call("login, bad UTF-8", "POST /auth/login", FORM, body=b"username=\xff&password=x&service=app")
    yield call("login, bad percent", "POST /auth/login", FORM, body="username=%zz&password=x&service=nothing")
    yield call("login, surrogate", "POST /auth/login", FORM, body="username=%ED%A0%80&password=x&service=app")
    yield call(
        "login, fields twice", "POST /auth/login", FORM, body="username=nobody2&username=b&password=x&service=app"
    )
    yield call("login, many fields", "POST /auth/login", FORM, body="&".join(["a=b"] * 101))
    yield call("login, missing fields", "POST /auth/login", FORM, body="username=ada")
    yield call("login, fields in the query", "POST /auth/login?username=ada&password=x&service=app", FORM, body="")
    for name, content in {
        "none": "", "broken": '{"username":', "array": "[]", "null": "null", "numbers": '{"username":1}',
        "NUL": {"username": "a\0", "password": "x", "service": "app"}, "bad UTF-8": b'{"username":"\xff"}',
        "surrogate": '{"username":"\\ud800","password":"x","service":"app"}', "deep": "[" * 5000,
        "BOM": b"\xef\xbb\xbf{}",
    }.items():  # fmt: skip
        yield json(f"login, JSON {name}", "POST /auth/login", content)
    yield multipart("login, multipart without boundary", "username=ada", content_type="multipart/form-data")
    yield multipart("login, multipart with another boundary", "a=b", content_type="multipart/form-data; boundary=y")
    yield multipart("login, multipart with missing fields", "username=ada")
    yield multipart("login, multipart with many fields", *["a=b"] * 101)
    for number in range(1, 7):
        yield form(f"lockout {number}", "lock", "wrong", "app", ACCEPT, ORIGIN, "X-Forwarded-For: 203.0.113.20")
    yield form("lockout, right password", "lock", PASSWORD, "app", "X-Forwarded-For: 203.0.113.20")
    yield form("lockout, another address", "lock", PASSWORD, "app", ACCEPT, "X-Forwarded-For: 1.2.3.4, 203.0.113.21")
    yield form("lockout, an address with a port", "lock", PASSWORD, "app", ACCEPT, "X-Forwarded-For: 203.0.113.22:4711")


def refreshes() -> Iterator[Call]:
    for name, token in {
        "a session": "token-ada", "a service": "token-files", "a provider": "token-storage",
        "a delegation": "token-of-ada", "a chain": "token-of-ada-2", "a narrowed delegation": "token-of-ada-narrowed",
        "WAYF": "token-wayf",
        "nothing left": "token-of-ada-nothing", "an expired delegation": "token-of-ada-expired", "unknown": "unknown",
        "an expired session": "token-expired", "a disabled user": "token-gone", "an access token": "<ada>",
        "of a login": "<login.refreshToken>", "idle": "<login, idle.refreshToken>", "odd": "é", "long": "a" * 5000,
    }.items():  # fmt: skip
        yield call(f"refresh: {name}", "POST /auth/refresh", f"Authorization: Bearer {token}")
    yield call("refresh: twice", "POST /auth/refresh", "Authorization: Bearer token-ada", ORIGIN)
    yield call("refresh: no token", "POST /auth/refresh", ORIGIN)
    yield call("refresh: strange origin", "POST /auth/refresh", "Authorization: Bearer token-ada", STRANGE_ORIGIN)
    yield call("refresh: a cookie", "POST /auth/refresh", "Cookie: __Host-refreshToken=token-ada")
    yield json("refresh: a body", "POST /auth/refresh", {"x": 1}, "Authorization: Bearer token-ada")


def web(path: str) -> Iterator[Call]:
    cookie, csrf, name = "Cookie: __Host-refreshToken=token-web", "X-CSRFToken: <csrf of token-web>", path[6:]
    unknown = ("Cookie: __Host-refreshToken=unknown", "X-CSRFToken: <csrf of unknown>")
    for number, headers in enumerate([
        (), (ORIGIN,), (ORIGIN, csrf), (ORIGIN, cookie), (STRANGE_ORIGIN, cookie, csrf), (cookie, csrf),
        ("Origin: null", cookie, csrf), ("Referer: https://evil.example.org/", cookie, csrf),
        (ORIGIN, "Sec-Fetch-Site: cross-site", cookie, csrf), (ORIGIN, cookie, "X-CSRFToken: wrong"),
        (ORIGIN, cookie, "X-CSRFToken: é"), (ORIGIN, "Cookie: refreshToken=token-web", csrf),
        (ORIGIN, "Cookie: __Host-refreshToken=", csrf), (ORIGIN, *unknown),
        (ORIGIN, "Cookie: __Host-refreshToken=a; __Host-refreshToken=b", csrf), (ORIGIN, cookie, cookie + "x", csrf),
        (ORIGIN, "Cookie: x=" + "a" * 17_000, csrf), (ORIGIN, "Cookie: é; __Host-refreshToken=\xff", csrf),
        ("Origin: https://CLOUD.example.org:443", f"{cookie}; other=\"a\"", csrf),
        ("Origin: ", "Referer: https://cloud.example.org/page?x", cookie, csrf),
    ]):  # fmt: skip
        yield call(f"{name} {number}", f"POST {path}", *headers)
    yield call(f"{name}: expired", f"POST {path}", ORIGIN, "Cookie: __Host-refreshToken=token-expired",
               "X-CSRFToken: <csrf of token-expired>")  # fmt: skip
    yield call(f"{name}: success", f"POST {path}", ORIGIN, "Cookie: a=b; __Host-refreshToken=token-web-2; c=d",
               "X-CSRFToken: <csrf of token-web-2>", "Sec-Fetch-Site: same-site")  # fmt: skip


def lists() -> Iterator[Call]:
    for name in ("sessions", "delegations"):
        yield call(f"{name} of ada", f"GET /auth/{name}", bearer("ada"), ORIGIN)
        yield call(f"{name} of root", f"GET /auth/{name}", bearer("root"))
        yield call(f"{name}, narrow", f"GET /auth/{name}", bearer("extended, files"))
        yield call(f"{name}, page 1", f"GET /auth/{name}?itemsPerPage=10&page=1", bearer("many"))
    for query in ("itemsPerPage=10", "itemsPerPage=10&page=2", "itemsPerPage=7&page=-1", "itemsPerPage=250&x=y",
                  "page=2147483647", "page=2147483648", "page=a", "page=1.0", "page=", "itemsPerPage=+10",
                  "itemsPerPage=9999999999999999999999", "itemsPerPage=10&page=1&page=0", "itemsPerPage=10&page=%31",
                  "page=%ff", "page=" + "9" * 5000, "page=%00"):  # fmt: skip
        yield call(f"sessions?{query[:40]}", f"GET /auth/sessions?{query}", bearer("many"))


def one_time() -> Iterator[Call]:
    for name, token in {"a user": "ada", "an admin": "root", "a service": "files", "a provider": "storage",
                        "an app": "third", "an extended token": "extended, jobs"}.items():  # fmt: skip
        yield call(f"one-time of {name}", "POST /auth/request?audience=files:read", bearer(token))
    for query in ("", "?audience=", "?audience=files", "?audience=files:READ,jobs.run:write:id!YWJj", "?audience=,",
                  "?audience=files:read,", "?audience=api", "?audience=%00", "?audience=%ff", "?audience=files:read%20",
                  "?audience=files:read&audience=x", "?audience=" + "a" * 1025 + ":read",
                  "?Audience=files:read"):  # fmt: skip
        yield call(f"one-time {query[:30]}", f"POST /auth/request{query}", bearer("ada"))
    yield call("one-time, not covered", "POST /auth/request?audience=all:write", bearer("extended, jobs"))
    yield call("one-time, disabled user", "POST /auth/request?audience=files:read", bearer("gone"))
    yield call("one-time as bearer", "GET /auth/sessions", bearer("one-time of a user.accessToken"))
    claim = "POST /auth/claim?jti="
    yield call("claim", claim + "<one-time of a user.jti>", bearer("files"))
    yield call("claim again", claim + "<one-time of a user.jti>", bearer("files"), ORIGIN)
    yield call("claim, admin", claim + "any-text", bearer("root"))
    yield call("claim with a key", claim + "with-a-key", bearer("files"), "Idempotency-Key: k1")
    yield call("claim with the key again", claim + "with-a-key", bearer("files"), "Idempotency-Key: k1")
    yield call("claim with another key", claim + "with-a-key", bearer("files"), "Idempotency-Key: k2")
    yield call("claim with another's key", claim + "with-a-key", bearer("mail"), "Idempotency-Key: k1")
    yield call("claim without the key", claim + "with-a-key", bearer("files"))
    for key in ("", "a b", "é", "a" * 255, "a" * 256):
        name = f"claim with key {key[:5]} of {len(key)}"
        yield call(name, claim + f"key-{len(key)}-{key.isascii()}", bearer("files"), f"Idempotency-Key: {key}")
    for query in ("", "?jti=", "?jti=" + "a" * 255, "?jti=" + "a" * 256, "?jti=a%00", "?jti=%ff", "?jti=%C3%A9",
                  "?jti=first&jti=second", "?jti=%F0%9F%98%80&x=y"):  # fmt: skip
        yield call(f"claim {query[:20]} of {len(query)}", f"POST /auth/claim{query}", bearer("files"))
    yield call("claim, ended service", claim + "x", bearer("files service, ended"))
    yield json("claim with a body", claim + "with-a-body", {"jti": "y"}, bearer("files"))


def extensions() -> Iterator[Call]:
    good: dict[str, Any] = {"validJWT": "<ada>", "requestedScopes": ["files:read"], "expiresIn": 60_000}
    route = "POST /auth/extend"
    yield json("extension", route, good, bearer("files"))
    yield json("extension, refreshes", route, good | {"allowRefreshes": True}, bearer("files"), ORIGIN)
    yield json("extension, no refreshes", route, good | {"allowRefreshes": False, "x": 1}, bearer("files"))
    yield json("extension, null", route, good | {"allowRefreshes": None, "expiresIn": 1}, bearer("files"))
    yield json(
        "extension, scopes", route, good | {"requestedScopes": ["files:READ", "jobs.run:write:a!YQ=="]}, bearer("files")
    )
    yield json("extension by admin", route, good, bearer("root"))
    yield json("extension of an extension", route, good | {"validJWT": "<extended, files>"}, bearer("mail"))
    yield json("extension of 8", route, good | {"validJWT": "<chain of 8>"}, bearer("mail"))
    yield json("extension by an extended token", route, good, bearer("extended"))
    refused: dict[str, dict[str, Any]] = {
        "unknown scope": {"requestedScopes": ["mail:read"]}, "no scope": {"requestedScopes": []},
        "malformed scope": {"requestedScopes": ["files"]}, "special": {"requestedScopes": ["special.ui:write"]},
        "more than the token": {"validJWT": "<extended, files>", "requestedScopes": ["files:write"]},
        "0 ms": {"expiresIn": 0}, "a day": {"expiresIn": 86_400_000}, "more than a day": {"expiresIn": 86_400_001},
        "a float": {"expiresIn": 1.5}, "a text": {"expiresIn": "60000"}, "huge": {"expiresIn": 10**30},
        "a bool": {"allowRefreshes": 1}, "a number as scope": {"requestedScopes": [1]},
        "a scope": {"requestedScopes": "a:read"}, "one-time": {"validJWT": "<once>"},
        "expired": {"validJWT": "<expired>"}, "no JWT": {"validJWT": ""},
        "a service's": {"validJWT": "<mail>"}, "disabled": {"validJWT": "<gone>"},
        "ended": {"validJWT": "<no session>"}, "guest": {"validJWT": "<guest>"},
        "1,001 scopes": {"requestedScopes": ["files:read"] * 1001},
        "a long scope": {"requestedScopes": ["a" * 1020 + ":read"]}, "NUL": {"requestedScopes": ["files:read\0"]},
        "expired and 0 ms": {"validJWT": "x", "expiresIn": 0},
    }  # fmt: skip
    for name, changed in refused.items():
        yield json(f"extension, {name}", route, good | changed, bearer("files"))
    yield json("extension, all by _wide", route, good | {"requestedScopes": ["all:write"]}, bearer("wide"))
    for name, body in {"empty": "", "broken": "{", "array": "[]", "no fields": "{}"}.items():
        yield json(f"extension, body {name}", route, body, bearer("files"))
    yield call("extension, no media type", route, bearer("files"), body=json_.dumps(good))
    yield call("extension, text", route, bearer("files"), "Content-Type: text/plain", body="{}")
    yield call("extension, form", route, bearer("files"), FORM, body="validJWT=x")
    yield call(
        "extension, JSON with a charset", route, bearer("files"), "Content-Type: application/json; charset=x", body="{}"
    )
    extended = "<extension, refreshes.{}>".format
    yield call("extension, refreshed", "POST /auth/refresh", f"Authorization: Bearer {extended('refreshToken')}")
    yield call("extension, sessions", "GET /auth/sessions", f"Authorization: Bearer {extended('accessToken')}")
    yield call("extension, in the list", "GET /auth/delegations", bearer("ada"))
    yield call("extension, logout", "POST /auth/logout", f"Authorization: Bearer {extended('refreshToken')}")


def endings() -> Iterator[Call]:
    """Sessions and delegations of bert, and those of a person who logs out."""
    sessions, delegations = "DELETE /auth/sessions", "DELETE /auth/delegations"
    for name in ("x", f"{_SESSION}11", f"{_SESSION}99", f"{_SESSION}24".upper(), "%00", "a" * 300, f"{{{_SESSION}24}}"):
        yield call(f"end session {name[:36]}", f"{sessions}/{name}", bearer("bert"))
        yield call(f"end delegation {name[:36]}", f"{delegations}/{name}", bearer("bert"))
    yield call("end another session", f"{sessions}/{_SESSION}24", bearer("bert"))
    yield call("end it again", f"{sessions}/{_SESSION}24", bearer("bert"), ORIGIN)
    yield call("end with an ended one", f"{sessions}/{_SESSION}25", bearer("bert-2"))
    yield call("end a delegation", f"{delegations}/{_DELEGATION}17", bearer("bert"), ORIGIN)
    yield call("end it as a session", f"{sessions}/{_DELEGATION}18", bearer("bert"))
    yield call("refresh an ended delegation", "POST /auth/refresh", "Authorization: Bearer token-of-bert")
    yield call("delegations that are left", "GET /auth/delegations", bearer("bert"))
    yield call("end all delegations", delegations, bearer("bert"))
    yield call("end all delegations again", delegations, bearer("bert"), ORIGIN)
    yield call("delegations, none", "GET /auth/delegations", bearer("bert"))
    yield call("sessions that are left", "GET /auth/sessions", bearer("bert"))
    yield call("end this session", f"{sessions}/{_SESSION}23", bearer("bert"), ORIGIN)
    yield call("an ended session", "GET /auth/sessions", bearer("bert"))
    yield call("end all sessions", sessions, bearer("many"), ORIGIN)
    yield call("all sessions have ended", "GET /auth/sessions", bearer("many"))
    yield call("logout", "POST /auth/logout", "Authorization: Bearer token-out", ORIGIN)
    yield call("logout again", "POST /auth/logout", "Authorization: Bearer token-out")
    yield call("logout, no token", "POST /auth/logout")
    yield call("logout, a login", "POST /auth/logout", "Authorization: Bearer <login.refreshToken>")
    yield call("logout, its access token", "GET /auth/sessions", "Authorization: Bearer <login.accessToken>")
    bulk = "POST /auth/logout/bulk"
    yield json("bulk", bulk, {"tokens": ["token-out-2", "unknown", "", "é", "\0"]}, bearer("files"))
    yield call("bulk, its token", "POST /auth/refresh", "Authorization: Bearer token-out-2")
    yield json("bulk, admin", bulk, {"tokens": []}, bearer("root"))
    for name, body in {"no tokens": {}, "null": {"tokens": None}, "a number": {"tokens": [1]}, "broken": "{"}.items():
        yield json(f"bulk, {name}", bulk, body, bearer("files"))
    yield call("bulk, text", bulk, bearer("files"), "Content-Type: text/plain", body="x")
    yield call("bulk, no body", bulk, bearer("files"))


def passwords() -> Iterator[Call]:
    change, reset = "POST /auth/password", "POST /auth/password/reset"
    for name, current, new in [
        ("too short", PASSWORD, "x" * 14), ("too long", PASSWORD, "x" * 1025), ("wrong", "wrong", NEW_PASSWORD),
        ("too easy", PASSWORD, "passwordpassword"), ("empty", "", NEW_PASSWORD),
        ("long current", "x" * 1025, NEW_PASSWORD),
        ("a number", 1, NEW_PASSWORD), ("null", PASSWORD, None), ("long in bytes", "é" * 513, NEW_PASSWORD),
    ]:  # fmt: skip
        yield json(f"change, {name}", change, {"currentPassword": current, "newPassword": new}, bearer("carl"), ORIGIN)
    good = {"currentPassword": PASSWORD, "newPassword": NEW_PASSWORD}
    yield json("change, no password", change, good, bearer("wayf"))
    yield json("change, extended", change, good, bearer("extended"))
    yield json("change, disabled", change, good, bearer("gone"))
    yield json("change, no fields", change, {}, bearer("carl"))
    yield call("change, form", change, bearer("carl"), FORM, body="currentPassword=x")
    yield json("change", change, good, bearer("carl"), ORIGIN)
    yield json("change again", change, good, bearer("carl"))
    yield call("change, this session", "GET /auth/sessions", bearer("carl"))
    yield call("change, the other session", "GET /auth/sessions", bearer("carl-2"))
    yield call("change, the delegation", "POST /auth/refresh", "Authorization: Bearer token-of-carl")
    for name, token, new in [
        ("unknown", "unknown", NEW_PASSWORD), ("expired", "reset-token-of-erin", NEW_PASSWORD),
        ("too short", "reset-token-of-dora", "x"), ("too easy", "reset-token-of-dora", "passwordpassword"),
        ("too long", "reset-token-of-dora", "x" * 1025), ("a number", 1, NEW_PASSWORD), ("empty", "", NEW_PASSWORD),
        ("odd", "\0é", NEW_PASSWORD), ("unknown and too short", "unknown", "x"),
    ]:  # fmt: skip
        yield json(f"reset, {name}", reset, {"resetToken": token, "newPassword": new}, ORIGIN)
    yield json("reset", reset, {"resetToken": "reset-token-of-dora", "newPassword": NEW_PASSWORD})
    yield json("reset again", reset, {"resetToken": "reset-token-of-dora", "newPassword": NEW_PASSWORD})
    yield call("reset, the session", "GET /auth/sessions", bearer("dora"))
    yield form("reset, login", "dora", NEW_PASSWORD, "app", ACCEPT)
    yield json("reset, no fields", reset, "{}")
    yield call("reset, no body", reset)
    yield call("reset, text", reset, "Content-Type: text/plain", body="x")


CALLS: Final = [
    *plain(), *protocol(), *odd_paths(), *methods(), *preflights(), *guarded(), *tokens(), *bodies(), *lists(),
    *logins(), *refreshes(), *web("/auth/refresh/web"), *web("/auth/logout/web"), *one_time(), *extensions(),
    *endings(), *passwords(),
]  # fmt: skip
