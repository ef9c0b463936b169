"""The service's calls as work: requests with the rows and the credentials that they need."""

import json
import random
import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from argon2 import PasswordHasher

from .rows import LOGINS, ROWS, SERVICE_TOKEN, SESSIONS_EACH, add_spare_tokens
from .service import ORIGIN, csrf_token

PLACEHOLDER: Final = re.compile(rb"\{(row|next|uuid)\}")
CLIENT: Final = {"X-Forwarded-For": "203.0.113.7"}
JSON: Final = {"Content-Type": "application/json"}
PASSWORD: Final = "correct horse battery staple"
PASSWORD_HASH: Final = PasswordHasher(2, 19 * 1024, 1).hash(PASSWORD)  # OWASP's least, which the service uses
ONE_TIME: Final = "/auth/request?audience=files.download:write"
SESSIONS: Final = "/auth/sessions?page=0&itemsPerPage=10"
BULK: Final = 100
SPARE_TOKENS: Final = 500_000  # more than one load ends
Exchange = Callable[[str], str]  # a refresh token for an access token


@dataclass(frozen=True)
class Work:
    """Requests to be sent in random order; {row}, {next} and {uuid} in them are filled in, as in `requests.lua`."""

    name: str
    requests: Sequence[bytes]
    answer: bytes  # a part of each right answer
    rows: int = ROWS  # the highest number for {row} and {next}


def request(method: str, path: str, headers: Mapping[str, str], body: str = "") -> bytes:
    """The bytes of an HTTP/1.1 request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", *(f"{name}: {value}" for name, value in headers.items())]
    if body:
        lines.append(f"Content-Length: {len(filled(body.encode(), 1))}")
    return "\r\n".join([*lines, "", body]).encode()


def filled(template: bytes, rows: int) -> bytes:
    """The request with its placeholders filled in, {row} with one of that many."""
    values = {b"row": b"%012d" % random.randint(1, rows), b"next": b"%012d" % 0, b"uuid": str(uuid.uuid4()).encode()}
    return PLACEHOLDER.sub(lambda match: values[match[1]], template)


def calls(exchange: Exchange, rows: int = ROWS) -> dict[str, Work]:
    """By name, the calls that hash no password, for a database filled with that many rows.

    Access tokens are of 2,000 persons at most, so that the service may remember many of them as verified.
    """
    people = [exchange(f"t{number:012}") for number in range(1, rows // SESSIONS_EACH + 1, max(1, rows // 20_000))]
    service = bearer(exchange(SERVICE_TOKEN))
    web = [_web_refresh(f"t{number:012}") for number in range(1, ROWS, 5)]
    works = [
        Work("refresh", [_call("POST", "/auth/refresh", "t{row}")], b"accessToken", rows),
        Work("webRefresh", web, b"csrfToken"),
        Work("claim", [request("POST", "/auth/claim?jti={uuid}", service)], b"{}"),
        Work("requestOneTimeTokenWithAudience", [_call("POST", ONE_TIME, token) for token in people], b"jti"),
        Work("tokenExtension", [_extension(service, token, False) for token in people], b"accessToken"),
        Work("tokenExtension, with refreshes", [_extension(service, token, True) for token in people], b"csrfToken"),
        Work("listUserSessions, 10 items", [_call("GET", SESSIONS, token) for token in people], b"userAgent"),
        Work("livez", [request("GET", "/livez", {})], b""),
    ]
    return {work.name: work for work in works}


def password_login() -> Work:
    """Logins of persons each in a network of its own, so that no limit on guessing refuses them."""
    headers = {"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded"}
    requests = []
    for number in range(1, LOGINS + 1):
        form = urlencode({"username": f"login-{number}", "password": PASSWORD, "service": "app"})
        client = {"X-Forwarded-For": f"198.51.100.{number}"}
        requests.append(request("POST", "/auth/login", headers | client, form))
    return Work("passwordLogin", requests, b"refreshToken")


def bulk_invalidate(exchange: Exchange, database_url: str) -> Work:
    """Each request ends a hundred live tokens of one person, whom no other load uses."""
    add_spare_tokens(database_url, SPARE_TOKENS)
    headers = {**bearer(exchange(SERVICE_TOKEN)), **JSON}
    requests = [request("POST", "/auth/logout/bulk", headers, json.dumps({"tokens": ["b{next}"] * BULK}))]
    return Work(f"bulkInvalidate of {BULK}", requests, b"{}", SPARE_TOKENS)


def empty_route() -> Work:
    """Requests to the empty Flask app."""
    return Work("an empty Flask route", [request("GET", "/", {})], b"{}")


def bearer(token: str) -> dict[str, str]:
    """The headers of a call with that token."""
    return CLIENT | {"Authorization": f"Bearer {token}"}


def _call(method: str, path: str, token: str) -> bytes:
    return request(method, path, bearer(token))


def _web_refresh(token: str) -> bytes:
    web = {"Cookie": f"__Host-refreshToken={token}", "X-CSRFToken": csrf_token(token), "Origin": ORIGIN}
    return request("POST", "/auth/refresh/web", CLIENT | web)


def _extension(service: Mapping[str, str], token: str, refreshes: bool) -> bytes:
    wish = {"validJWT": token, "requestedScopes": ["files:read"], "expiresIn": 60_000, "allowRefreshes": refreshes}
    return request("POST", "/auth/extend", {**service, **JSON}, json.dumps(wish))
