"""The service's calls as work: requests with the rows and the credentials that they need."""

import json
import random
import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from .rows import MANY, ROWS, SERVICE_TOKEN, SESSIONS
from .service import ORIGIN, csrf_token

PLACEHOLDER: Final = re.compile(rb"\{(row|next|uuid)\}")
CLIENT: Final = {"X-Forwarded-For": "203.0.113.7"}
JSON: Final = {"Content-Type": "application/json"}
LOGINS: Final = 64
PASSWORD: Final = "correct horse battery staple"
Exchange = Callable[[str], str]  # a refresh token for an access token


@dataclass(frozen=True)
class Work:
    """Requests to be sent in random order; {row}, {next} and {uuid} in them are filled in, as in `requests.lua`."""

    name: str
    requests: Sequence[bytes]
    answer: bytes  # a part of each right answer
    rows: int = ROWS
    prepare: Callable[[], tuple[int, int]] = lambda: (0, 0)  # called before each load; the bounds of {next}


def request(method: str, path: str, headers: Mapping[str, str], body: str = "") -> bytes:
    """The bytes of an HTTP/1.1 request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *(f"{name}: {value}" for name, value in headers.items())]
    if body:
        lines.append(f"Content-Length: {len(filled(body.encode()))}")
    return "\r\n".join([*lines, "", body]).encode()


def filled(template: bytes, rows: int = 1) -> bytes:
    """The request with its placeholders filled in, {row} with one of that many."""
    values = {b"row": b"%012d" % random.randint(1, rows), b"next": b"%012d" % 0, b"uuid": str(uuid.uuid4()).encode()}
    return PLACEHOLDER.sub(lambda match: values[match[1]], template)


def calls(exchange: Exchange, rows: int = ROWS) -> dict[str, Work]:
    """By name, the calls that hash no password, for a database filled with that many rows.

    A call with an access token uses one of 2,000 at most, so that the service may remember it as verified.
    """
    people = [exchange(f"t{number:012}") for number in range(1, rows + 1, max(1, rows // 2000))]
    service = bearer(exchange(SERVICE_TOKEN))
    works = [
        Work("refresh", [request("POST", "/auth/refresh", bearer("t{row}"))], b"accessToken", rows),
        Work("webRefresh", [_web_refresh(f"t{number:012}") for number in range(1, ROWS, 5)], b"csrfToken"),
        Work("claim", [request("POST", "/auth/claim?jti={uuid}", service)], b"{}"),
        Work("requestOneTimeTokenWithAudience", [_one_time(token) for token in people], b"jti"),
        Work("tokenExtension", [_extension(service, token, False) for token in people], b"accessToken"),
        Work("tokenExtension, with refreshes", [_extension(service, token, True) for token in people], b"csrfToken"),
        list_sessions(people, SESSIONS),
        list_sessions([exchange(f"m{number:012}") for number in range(1, MANY + 1)], 250),
        Work("livez", [request("GET", "/livez", {})], b""),
    ]
    return {work.name: work for work in works}


def password_login() -> Work:
    """Logins of persons each in a network of its own, so that no limit on guessing refuses them."""
    return Work("passwordLogin", [_login(number) for number in range(LOGINS)], b"refreshToken")


def empty_route() -> Work:
    """Requests to the empty Flask app."""
    return Work("an empty Flask route", [request("GET", "/", {})], b"{}")


def bearer(token: str) -> dict[str, str]:
    """The headers of a call with that token."""
    return CLIENT | {"Authorization": f"Bearer {token}"}


def list_sessions(tokens: Sequence[str], size: int) -> Work:
    """First pages of that size of the sessions of the tokens' persons."""
    requests = [request("GET", f"/auth/sessions?itemsPerPage={size}&page=0", bearer(token)) for token in tokens]
    return Work(f"listUserSessions, {size} items", requests, b'"userAgent"')


def _web_refresh(token: str) -> bytes:
    web = {"Cookie": f"__Host-refreshToken={token}", "X-CSRFToken": csrf_token(token), "Origin": ORIGIN}
    return request("POST", "/auth/refresh/web", CLIENT | web)


def _one_time(token: str) -> bytes:
    return request("POST", "/auth/request?audience=files.download:write", bearer(token))


def _extension(service: Mapping[str, str], token: str, refreshes: bool) -> bytes:
    wish = {"validJWT": token, "requestedScopes": ["files:read"], "expiresIn": 60_000, "allowRefreshes": refreshes}
    return request("POST", "/auth/extend", {**service, **JSON}, json.dumps(wish))


def _login(number: int) -> bytes:
    form = urlencode({"username": f"login-{number}", "password": PASSWORD, "service": "app"})
    client = {"X-Forwarded-For": f"198.51.100.{number}", "Accept": "application/json"}
    return request("POST", "/auth/login", {**client, "Content-Type": "application/x-www-form-urlencoded"}, form)
