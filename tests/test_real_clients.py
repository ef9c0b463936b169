"""Clients that others wrote, unmodified: libraries for OAuth, and gateways that ask before each request."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import pytest
import requests
from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session

from .support.api import Answer, Api, send_to_server
from .support.gateways import Upstream, apache, asking_nginx, nginx, running
from .support.node import node
from .support.servers import PROJECT, Server, free_port
from .support.world import Stored, World, claims

EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ENDPOINTS = {"token": "token", "introspection": "introspect", "revocation": "revoke"}
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"


@contextmanager
def serving_at(port: int, environment: dict[str, str], issuer: str) -> Iterator[Server]:
    server = Server(environment | {"JWT_ISSUER": issuer}, port=port)
    try:
        server.wait_until_up()
        yield server
    finally:
        if server.process.poll() is None:
            server.stop()


def url(port: int) -> str:
    return f"http://127.0.0.1:{port}"


@contextmanager
def own_issuer(environment: dict[str, str]) -> Iterator[Server]:
    """A server whose issuer is its own URL."""
    port = free_port()
    with serving_at(port, environment, url(port)) as server:
        yield server


@pytest.fixture(scope="module")
def server(environment: dict[str, str]) -> Iterator[Server]:
    with own_issuer(environment) as server:
        yield server


@pytest.fixture
def server_to_stop(environment: dict[str, str]) -> Iterator[Server]:
    with own_issuer(environment) as server:
        yield server


@pytest.fixture
def issuer(server: Server) -> str:
    return url(server.port)


@pytest.fixture
def metadata(issuer: str) -> Any:
    return requests.get(f"{issuer}/.well-known/oauth-authorization-server", timeout=30).json()


@pytest.fixture
def service(world: World) -> Stored:
    return world.service("files:read", "jobs:write")


@pytest.fixture
def user(world: World) -> Stored:
    return world.session()


def authlib(metadata: Any, service: Stored, method: str = "client_secret_basic", **settings: Any) -> OAuth2Session:
    settings |= {"token_endpoint": metadata["token_endpoint"], "default_timeout": 30}
    return OAuth2Session(service.id, service.refresh_token, token_endpoint_auth_method=method, **settings)


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
def test_authlib_as_a_service(metadata: Any, issuer: str, service: Stored, method: str) -> None:
    assert method in metadata["token_endpoint_auth_methods_supported"]
    with authlib(metadata, service, method, scope="files:read") as client:
        token = client.fetch_token()
        assert (token["token_type"], token["expires_in"], token["scope"]) == ("Bearer", 600, "files:read")
        assert "refresh_token" not in token
        assert client.get(f"{issuer}/auth/verify?scope=files:read").headers["X-Auth-Principal"] == service.id
        assert client.get(f"{issuer}/auth/verify?scope=jobs:read").status_code == 401
        token["expires_at"] = 0
        assert client.get(f"{issuer}/auth/verify").status_code == 200
        assert client.token["expires_at"] > time.time()


def test_authlib_keeps_a_session_alive(metadata: Any, issuer: str, user: Stored) -> None:
    """It refreshes by itself when the access token has expired."""
    told = list[Any]()
    settings = {"token_endpoint": metadata["token_endpoint"], "update_token": lambda *now, **last: told.append(last)}
    token = {"access_token": "expired", "refresh_token": user.refresh_token, "expires_at": 1}
    with OAuth2Session("portal", token=token, default_timeout=30, **settings) as client:
        assert client.get(f"{issuer}/auth/verify").headers["X-Auth-Principal"] == user.id
        assert told == [{"refresh_token": user.refresh_token}]
        assert client.token["refresh_token"] == user.refresh_token
        answer = client.revoke_token(metadata["revocation_endpoint"], token_type_hint="refresh_token")
        assert (answer.status_code, answer.json()) == (200, {})
        assert client.get(f"{issuer}/auth/verify").status_code == 401
        with pytest.raises(OAuthError, match="invalid_grant"):
            client.refresh_token()


def test_authlib_exchanges_and_introspects(metadata: Any, server: Server, service: Stored, user: Stored) -> None:
    user_token = server.api.refresh(user.refresh_token).ok()["accessToken"]
    with authlib(metadata, service) as client:

        def introspected(token: str) -> Any:
            return client.introspect_token(metadata["introspection_endpoint"], token=token).json()

        subject = {"subject_token": user_token, "subject_token_type": ACCESS_TOKEN}
        token = client.fetch_token(grant_type=EXCHANGE, scope="files:read offline_access", **subject)
        assert (token["scope"], token["issued_token_type"]) == ("files:read", ACCESS_TOKEN)
        answer = introspected(token["access_token"])
        assert (answer["active"], answer["username"], answer["scope"]) == (True, user.id, "files:read")
        assert (answer["client_id"], answer["act"]) == (service.id, {"sub": service.id})

        server.api.logout(user.refresh_token).ok()
        assert introspected(user_token) == {"active": False}
        refreshed = client.refresh_token()
        assert introspected(refreshed["access_token"])["active"]
        client.revoke_token(metadata["revocation_endpoint"], token=refreshed["refresh_token"])
        assert introspected(refreshed["access_token"]) == {"active": False}


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"grant_type": "client_credentials", "scope": "special:read"}, "invalid_scope"),
        ({"grant_type": "password", "username": "ada", "password": "secret"}, "unsupported_grant_type"),
        ({"grant_type": EXCHANGE, "subject_token": "x", "subject_token_type": ACCESS_TOKEN}, "invalid_grant"),
        ({"grant_type": EXCHANGE, "subject_token": "x", "subject_token_type": "saml2"}, "invalid_request"),
        ({"grant_type": "refresh_token", "refresh_token": "unknown"}, "invalid_grant"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_authlib_reads_the_errors(metadata: Any, service: Stored, change: dict[str, str], error: str) -> None:
    with authlib(metadata, service, scope="files:read") as client, pytest.raises(OAuthError) as refusal:
        client.fetch_token(**change)
    assert refusal.value.error == error
    assert refusal.value.description


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
def test_authlib_is_refused_with_another_services_secret(
    metadata: Any, service: Stored, world: World, method: str
) -> None:
    other = Stored(service.id, world.service().refresh_token, "")
    with authlib(metadata, other, method) as client, pytest.raises(OAuthError, match="invalid_client"):
        client.fetch_token(grant_type="client_credentials")


def test_oauth4webapi_accepts_every_answer(issuer: str, service: Stored, user: Stored, tmp_path: Path) -> None:
    check_every_answer(issuer, service, user, tmp_path)


def test_the_issuer_may_have_a_path(environment: dict[str, str], service: Stored, user: Stored, tmp_path: Path) -> None:
    """A proxy passes the paths below /sso, without /sso, and the metadata's path as it is (RFC 8414, 3.1)."""
    port = free_port()
    below = f"location /sso/ {{ proxy_pass {url(port)}/; }} location /.well-known/ {{ proxy_pass {url(port)}; }}"
    with nginx(tmp_path, below) as front, serving_at(port, environment, f"{url(front)}/sso"):
        check_every_answer(f"{url(front)}/sso", service, user, tmp_path)


def check_every_answer(issuer: str, service: Stored, user: Stored, tmp_path: Path) -> None:
    code = (PROJECT / "tests/support/oauth_client.mjs").read_text()
    secrets = {"CLIENT_SECRET": service.refresh_token, "USER_REFRESH_TOKEN": user.refresh_token}
    printed = node(tmp_path, code, package="oauth4webapi", ISSUER=issuer, CLIENT_ID=service.id, **secrets)
    answers = json.loads(printed)

    token = {"access_token": ANY, "token_type": "bearer", "expires_in": 600}
    endpoints = {name: value for name, value in answers["metadata"].items() if name.endswith("_endpoint")}
    assert (answers["metadata"]["issuer"], endpoints) == (
        issuer,
        {f"{name}_endpoint": f"{issuer}/auth/oauth/{path}" for name, path in ENDPOINTS.items()},
    )
    assert answers["basic"] == token | {"scope": "all:write"}
    assert answers["post"] == token | {"scope": "files:read"}
    assert answers["refreshed"] == token | {"scope": "all:write"}
    exchanged = token | {"scope": "files:read"}
    assert answers["exchanged"] == exchanged | {"refresh_token": ANY, "issued_token_type": ACCESS_TOKEN}
    assert answers["delegated"] == exchanged

    about_user = claims(answers["refreshed"]["access_token"])
    known = {"active": True, "token_type": "Bearer", "username": user.id}
    assert answers["active"] == about_user | known | {"scope": "all:write"}
    about_delegation = claims(answers["delegated"]["access_token"])
    assert about_delegation["act"] == {"sub": service.id}
    assert answers["activeExchanged"] == about_delegation | known | {"scope": "files:read", "client_id": service.id}
    assert answers["revoked"] == {"active": False}
    assert answers["stillActive"] == answers["activeExchanged"]
    assert answers["errors"] == {
        "refresh": [400, "invalid_grant"],
        "exchange": [400, "invalid_grant"],
        "scope": [400, "invalid_scope"],
        "grant": [400, "unsupported_grant_type"],
        "parameter": [400, "invalid_request"],
        "client": [401, "basic"],
        "introspection": [401, "basic"],
    }


def test_nginx_asks_before_each_request(server_to_stop: Server, world: World, user: Stored, tmp_path: Path) -> None:
    server = server_to_stop
    upstream, token = Upstream(), server.api.refresh(user.refresh_token).ok()["accessToken"]
    narrow = server.api.extend(own_token(server, world.service("jobs:read")), token, "jobs:read").ok()["accessToken"]
    one_time = server.api.request_one_time_token(token, "files:read").ok()["accessToken"]
    with running(upstream) as behind, asking_nginx(tmp_path, behind, server.port) as port:
        gateway = Api(send_to_server(port))
        headers = gateway.call("GET", "/any", token, X_Auth_Principal="admin", X_Auth_Role="ADMIN").ok()
        assert (headers["x-auth-principal"], headers["x-auth-role"]) == (user.id, "USER")
        assert gateway.call("POST", "/any", token, data=b"a body").status == 200
        upstream.requests = 0
        for refused in (None, "garbage", narrow, one_time):
            answer = gateway.call("GET", "/any", refused, X_Auth_Principal="admin")
            assert (answer.status, answer.header("WWW-Authenticate")) == (401, "Bearer")
        assert gateway.call("GET", "/verify", token).status == 404

        server.api.logout(user.refresh_token).ok()
        assert gateway.call("GET", "/any", token).status == 401
        server.stop()
        assert gateway.call("GET", "/any", token).status == 500
        assert upstream.requests == 0


def test_apache_introspects_before_each_request(
    server_to_stop: Server, service: Stored, user: Stored, tmp_path: Path
) -> None:
    server = server_to_stop
    upstream, token = Upstream(), server.api.refresh(user.refresh_token).ok()["accessToken"]
    extended = server.api.extend(own_token(server, service), token, "files:read").ok()["accessToken"]
    settings = {"issuer": url(server.port), "client_id": service.id, "client_secret": service.refresh_token}
    with running(upstream) as behind, apache(tmp_path, behind, **settings) as port:
        gateway = Api(send_to_server(port))
        headers = gateway.call("GET", "/any", token, X_Claim_Sub="admin").ok()
        assert (headers["x-claim-sub"], headers["x-claim-scope"]) == (user.id, "all:write")
        assert headers["x-claim-username"] == user.id
        headers = gateway.call("GET", "/files", extended).ok()
        assert (headers["x-claim-sub"], headers["x-claim-extendedby"]) == (user.id, service.id)
        upstream.requests = 0
        assert is_refused(gateway.call("GET", "/files", token))  # another scope
        for refused in (None, "garbage", user.refresh_token):
            assert is_refused(gateway.call("GET", "/any", refused))

        server.api.logout(user.refresh_token).ok()
        assert gateway.call("GET", "/any", token).status == 401
        server.stop()
        assert is_refused(gateway.call("GET", "/files", extended))
        assert upstream.requests == 0


def own_token(server: Server, service: Stored) -> str:
    return str(server.api.refresh(service.refresh_token).ok()["accessToken"])


def is_refused(answer: Answer) -> bool:
    return answer.status >= 400
