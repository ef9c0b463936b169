"""Generated requests: from the OpenAPI document, and from random bytes.

`make test` tries some hundreds, `make fuzz` 20,000. There is no 5xx, every answer matches the
document, and a refused call has stored nothing.
"""

import os
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import psycopg
import pytest
import schemathesis
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.config import SchemathesisConfig
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from app import create_app
from auth.config import Config
from auth.core.errors import MalformedScope
from auth.core.models import Role
from auth.core.oauth import EXCHANGE, WELL_KNOWN
from auth.core.scopes import Scope
from auth.http.documents import document

from .support.api import COOKIE, any_address, request_class
from .support.world import ORIGIN, Stored, World, claims

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "25"))
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]

fuzzed = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=EXAMPLES < 100,
    database=None,
    suppress_health_check=list(HealthCheck),
)
# Constants of the loaded modules would make examples differ from run to run.
CONFIG = SchemathesisConfig.from_dict({"analysis": {"constants": {"enabled": False}}})
DOCUMENT: Any = schemathesis.openapi.from_dict(document(), config=CONFIG)
OPERATIONS: dict[str, Any] = {
    operation.ok().definition.raw["operationId"]: operation.ok() for operation in DOCUMENT.get_all_operations()
}


# Warnings from inside the strategies of schemathesis.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Do not use the `random` module:hypothesis.errors.HypothesisDeprecationWarning"
)


@pytest.fixture(scope="module")
def site(config: Config) -> Iterator[Flask]:
    app = create_app(replace(config, trusted_proxies=1))
    yield app
    request_class(app).database.close()


@pytest.fixture(scope="module")
def client(site: Flask) -> FlaskClient:
    return site.test_client(use_cookies=False)


@pytest.fixture(scope="module")
def headers(world: World) -> dict[str, dict[str, str]]:
    """What lets the caller in, for each kind of credential."""
    admin, session = world.access_token(world.user(Role.ADMIN)), world.session()
    return {
        "accessToken": {"Authorization": f"Bearer {admin}"},
        "refreshToken": {"Authorization": f"Bearer {session.refresh_token}"},
        "refreshCookie": {
            "Cookie": f"{COOKIE}={session.refresh_token}",
            "X-CSRFToken": session.csrf,
            "Origin": ORIGIN,
        },
    }


@pytest.fixture(scope="module")
def service(world: World) -> Stored:
    return world.service("files:read")


@pytest.fixture(scope="module")
def counting(database_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield connection


def stored(counting: psycopg.Connection[Any]) -> tuple[int, ...] | None:
    """The number of rows of every kind that a call may store."""
    return counting.execute(
        "SELECT (SELECT count(*) FROM refresh_token), (SELECT count(*) FROM jti_claim), "
        "(SELECT count(*) FROM principal), (SELECT count(reset_token_hash) FROM principal)"
    ).fetchone()


@pytest.mark.parametrize("name", OPERATIONS)
@fuzzed
@given(data=st.data())
def test_calls_by_the_document(
    data: st.DataObject,
    name: str,
    site: Flask,
    counting: psycopg.Connection[Any],
    headers: dict[str, dict[str, str]],
) -> None:
    case = data.draw(OPERATIONS[name].as_strategy())
    case.operation.schema.app = site
    security = case.operation.definition.raw.get("security") or [{}]
    sent = {"X-Forwarded-For": any_address()}
    for scheme in security[0]:
        sent |= headers.get(scheme, {})
    before = stored(counting)
    response = case.call(headers=sent, app=site)
    case.validate_response(response, checks=CHECKS)
    if response.status_code >= 400:
        assert stored(counting) == before


def test_every_route_was_fuzzed(site: Flask) -> None:
    paths = {str(rule).replace("<", "{").replace(">", "}") for rule in site.url_map.iter_rules()}
    assert paths - {f"{WELL_KNOWN}/{{path:of_issuer}}"} == set(document()["paths"])


@fuzzed
@given(st.text() | st.from_regex(r"[a-z.]*:(read|write)(:[a-z]+![A-Za-z0-9+/=]*)?"))
@example("a:read:k!dg==")
def test_a_scope_is_malformed_or_has_a_canonical_form(text: str) -> None:
    try:
        scope = Scope.parse(text)
    except MalformedScope:
        return
    assert Scope.parse(str(scope)) == scope
    assert str(Scope.parse(str(scope))) == str(scope)
    assert scope.covered_by(scope)


HEADER = st.text(st.characters(max_codepoint=255, exclude_characters="\r\n\0"), max_size=300)


@fuzzed
@given(HEADER, HEADER, HEADER)
def test_any_headers(client: FlaskClient, cookie: str, token: str, origin: str) -> None:
    sent = {
        "Cookie": cookie,
        "Authorization": f"Bearer {token}",
        "Origin": origin,
        "X-CSRFToken": token,
        "Accept": cookie,
    }
    paths = {"/auth/refresh/web": "POST", "/auth/logout": "POST", "/auth/sessions": "GET", "/auth/login": "POST"}
    for path, method in paths.items():
        response = client.open(path, method=method, headers=sent)
        assert 400 <= response.status_code < 500
    for scheme in ("", "Basic ", "Digest "):
        basic = {"Authorization": scheme + token, "Content-Type": "application/x-www-form-urlencoded"}
        assert client.post("/auth/oauth/introspect", data=b"token=x", headers=basic).status_code == 401
    trusted = client.post("/auth/refresh/web", headers=sent | {"Origin": ORIGIN, "Cookie": f"{cookie}; {COOKIE}=x"})
    assert trusted.status_code in (400, 401)


MEDIA_TYPES = [
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=b",
    "application/json",
    "text/plain",
]


@fuzzed
@given(st.binary(max_size=500), st.sampled_from(MEDIA_TYPES))
def test_any_body(client: FlaskClient, body: bytes, content_type: str) -> None:
    framed = b"--b\r\nContent-Disposition: form-data; name=username\r\n\r\n" + body + b"\r\n--b--"
    for data in (body, framed):
        response = client.post("/auth/login", data=data, headers={"Content-Type": content_type})
        assert response.status_code in (400, 415)


LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
JSON = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=10)


@fuzzed
@given(st.dictionaries(st.sampled_from(["validJWT", "requestedScopes", "expiresIn", "allowRefreshes", "tokens"]), JSON))
def test_any_json(client: FlaskClient, headers: dict[str, dict[str, str]], body: dict[str, Any]) -> None:
    for path in ("/auth/extend", "/auth/logout/bulk"):
        response = client.post(path, json=body, headers=headers["accessToken"])
        assert response.status_code in (200, 400, 401)
        assert response.status_code != 200 or path == "/auth/logout/bulk"


PARAMETERS = st.sampled_from(
    ["grant_type", "scope", "subject_token", "subject_token_type", "audience", "token", "other"]
)
VALUES = st.text(max_size=50) | st.sampled_from(
    [EXCHANGE, "client_credentials", "refresh_token", "a:read offline_access"]
)


@fuzzed
@given(st.lists(st.tuples(PARAMETERS, VALUES), max_size=8))
def test_any_parameters(client: FlaskClient, service: Stored, pairs: list[tuple[str, str]]) -> None:
    """With a right client, so that all parameters are read. No door makes a token but for its own client."""
    pairs = [*pairs, ("client_id", service.id), ("client_secret", service.refresh_token)]
    data, headers = urlencode(pairs, errors="replace"), {"Content-Type": "application/x-www-form-urlencoded"}
    for door in ("token", "introspect", "revoke"):
        response = client.post(f"/auth/oauth/{door}", data=data, headers=headers)
        assert response.status_code in (200, 400)
        made = response.get_json().get("access_token") if response.status_code == 200 else None
        assert made is None or claims(made)["sub"] == service.id


@fuzzed
@given(st.text(min_size=1, max_size=300), st.text(min_size=1, max_size=1100))
def test_any_name_and_password(client: FlaskClient, world: World, name: str, password: str) -> None:
    body = {"username": name, "password": password, "service": login_service(world)}
    response = client.post("/auth/login", json=body, headers={"X-Forwarded-For": any_address()})
    assert response.status_code in (400, 401, 429)


def login_service(world: World) -> str:
    lifetimes = {"refresh_token_ttl_seconds": None, "idle_timeout_seconds": None}
    world.db.one("login_service_insert", name="fuzz", endpoint=ORIGIN, mode="WEB", **lifetimes)
    return "fuzz"
