"""Our calls as load: each with the rows and the credentials it needs."""

import json
from collections.abc import Iterator
from itertools import count
from typing import Final
from urllib.parse import urlencode

from auth import refresh_tokens
from tests.api import COOKIE
from tests.world import ORIGIN, PASSWORD, World

from .load import Work, request
from .rows import SESSIONS, replace_spare_tokens
from .service import Deployment

ROWS: Final = 10_000
DAY_MS: Final = 24 * 60 * 60 * 1000  # access tokens that outlive the benchmark
FEW: Final = 64  # of people with a password, or with very many sessions
BULK: Final = 100
BULK_TOKENS: Final = 500_000  # more than one load ends
FORM: Final = "application/x-www-form-urlencoded"
CLIENT: Final = {"X-Forwarded-For": "203.0.113.7"}


def bearer(token: str) -> dict[str, str]:
    """The headers of a call with that token."""
    return CLIENT | {"Authorization": f"Bearer {token}"}


def calls(deployment: Deployment) -> list[Work]:
    """The calls whose limit is the empty route, on a database that was filled with `ROWS` rows."""
    world, port = deployment.world, deployment.port
    people = people_tokens(world, ROWS)
    return [
        refresh(port, ROWS),
        Work("webRefresh", port, [_web_refresh(f"t{n:012}") for n in range(1, ROWS, 5)], b"csrfToken"),
        claim(port, world),
        Work("requestOneTimeTokenWithAudience", port, [_one_time(token) for token in people], b"jti"),
        Work("tokenExtension, with refreshes", port, list(_extensions(world, people)), b"refreshToken"),
        list_sessions("listUserSessions, 10 items", port, people),
        _many_sessions(port, world),
    ]


def password_login(deployment: Deployment) -> Work:
    """Logins of people each in a network of their own, so that no limit on guessing holds them up."""
    return Work("passwordLogin", deployment.port, list(_logins(deployment.world)), b"refreshToken")


def bulk_invalidate(deployment: Deployment) -> Work:
    """Each request ends a hundred tokens that live, all of one person who has no other part in this."""
    headers = bearer(deployment.world.access_token(deployment.world.service().id, lifetime_ms=DAY_MS))
    body = json.dumps({"tokens": ["t{next}"] * BULK})
    requests = [request("POST", "/auth/logout/bulk", headers | {"Content-Type": "application/json"}, body)]
    starts = count(ROWS, BULK_TOKENS)

    def prepare() -> tuple[int, int]:
        first = next(starts)
        replace_spare_tokens(deployment.database_url, first, first + BULK_TOKENS)
        return first, first + BULK_TOKENS

    return Work("bulkInvalidate of 100", deployment.port, requests, b"{}", prepare=prepare)


def people_tokens(world: World, rows: int) -> list[str]:
    """Access tokens of people all over a table with that many rows, two thousand of them at most."""
    people = rows // SESSIONS
    step = max(1, people // 2000)
    return [world.access_token(f"person-{n}", lifetime_ms=DAY_MS) for n in range(1, people + 1, step)]


def refresh(port: int, rows: int) -> Work:
    """Refreshes with random tokens out of that many."""
    return Work("refresh", port, [request("POST", "/auth/refresh", bearer("t{row}"))], b"accessToken", rows)


def claim(port: int, world: World) -> Work:
    """Claims of a fresh jti each."""
    token = world.access_token(world.service().id, lifetime_ms=DAY_MS)
    return Work("claim", port, [request("POST", "/auth/claim?jti={uuid}", bearer(token))], b"{}")


def list_sessions(name: str, port: int, tokens: list[str], size: int = SESSIONS) -> Work:
    """First pages of that size of these people's sessions."""
    requests = [request("GET", f"/auth/sessions?itemsPerPage={size}&page=0", bearer(token)) for token in tokens]
    return Work(name, port, requests, b'"userAgent"')


def _web_refresh(token: str) -> bytes:
    web = {"Cookie": f"{COOKIE}={token}", "X-CSRFToken": refresh_tokens.csrf_token(token), "Origin": ORIGIN}
    return request("POST", "/auth/refresh/web", CLIENT | web)


def _one_time(token: str) -> bytes:
    return request("POST", "/auth/request?audience=files.download:write", bearer(token))


def _extensions(world: World, tokens: list[str]) -> Iterator[bytes]:
    service = world.service("files:read")
    headers = bearer(world.access_token(service.id, lifetime_ms=DAY_MS)) | {"Content-Type": "application/json"}
    for token in tokens:
        wish = {"validJWT": token, "requestedScopes": ["files:read"], "expiresIn": 60_000, "allowRefreshes": True}
        yield request("POST", "/auth/extend", headers, json.dumps(wish))


def _many_sessions(port: int, world: World) -> Work:
    people = [world.user() for _ in range(FEW // 4)]
    for person in people:
        for _ in range(250):
            world.session(person)
    tokens = [world.access_token(person, lifetime_ms=DAY_MS) for person in people]
    return list_sessions("listUserSessions, 250 items", port, tokens, 250)


def _logins(world: World) -> Iterator[bytes]:
    name = world.login_service()
    for number in range(FEW):
        form = urlencode({"username": world.user(), "password": PASSWORD, "service": name})
        headers = {"X-Forwarded-For": f"198.51.100.{number}", "Accept": "application/json", "Content-Type": FORM}
        yield request("POST", "/auth/login", headers, form)
