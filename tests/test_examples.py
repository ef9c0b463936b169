"""The resource server of `examples/`, against the service as it is deployed."""

import importlib.util
import json
import sys
from collections.abc import Iterator

import jwt
import pytest
from flask.testing import FlaskClient

from auth.core.keys import Keyring, generate_private_key, load_private_key
from auth.core.tokens import AccessTokens

from .support.api import Api
from .support.servers import PROJECT, Server, free_port, serving
from .support.world import World


@pytest.fixture(scope="module")
def server(environment: dict[str, str]) -> Iterator[Server]:
    with serving(environment) as [server]:
        yield server


@pytest.fixture
def api(server: Server) -> Api:
    return server.client()


@pytest.fixture
def resource(server: Server, world: World, monkeypatch: pytest.MonkeyPatch) -> FlaskClient:
    monkeypatch.setenv("AUTH", f"http://127.0.0.1:{server.port}")
    monkeypatch.setenv("DEMO_REFRESH_TOKEN", world.service().refresh_token)
    spec = importlib.util.spec_from_file_location("resource_server", PROJECT / "examples" / "resource_server.py")
    assert spec is not None
    assert spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    monkeypatch.setitem(sys.modules, "resource_server", example)
    client: FlaskClient = example.app.test_client()
    return client


def status(resource: FlaskClient, token: str) -> int:
    return resource.get("/files", headers={"Authorization": f"Bearer {token}"}).status_code


def test_a_user_sees_their_files(resource: FlaskClient, world: World) -> None:
    session = world.session()
    answer = resource.get("/files", headers={"Authorization": f"Bearer {session.access_token}"})
    assert answer.get_json() == {"owner": session.id, "files": ["thesis.pdf"]}


def test_nobody_else_does(resource: FlaskClient, api: Api, world: World) -> None:
    session = world.session()
    foreign = World(world.db, AccessTokens(Keyring.of(load_private_key(generate_private_key("ES256"))), "cloud.sdu.dk"))
    other = World(world.db, AccessTokens(world.tokens.keyring, "https://other.example.org"))
    refused = {
        "none": "",
        "garbage": "garbage",
        "a refresh token": session.refresh_token,
        "another scope": world.access_token(session.id, ["jobs:read"]),
        "a one-time token": api.request_one_time_token(session.access_token, "files:read").json["accessToken"],
        "another's key": foreign.access_token(session.id),
        "another issuer": other.access_token(session.id),
        "expired": world.access_token(session.id, lifetime_ms=-60_000),
    }
    assert {name: status(resource, token) for name, token in refused.items()} == dict.fromkeys(refused, 401)


def test_a_link_works_once(resource: FlaskClient, api: Api, world: World) -> None:
    session = world.session()
    token = api.request_one_time_token(session.access_token, "files.download:read").json["accessToken"]
    assert resource.get(f"/download?token={token}").text == "the content of thesis.pdf\n"
    assert resource.get(f"/download?token={token}").status_code == 409
    assert resource.get("/download").status_code == 401
    assert resource.get(f"/download?token={session.access_token}").status_code == 401


def test_an_outage_is_no_refusal(
    resource: FlaskClient, api: Api, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the link cannot be spent there is no file; and it is not called spent, so that it works later."""
    token = api.request_one_time_token(world.session().access_token, "files.download:read").json["accessToken"]
    assert status(resource, token) == 401  # a one-time token is for one use; and the keys are known from here on
    with monkeypatch.context() as away:
        away.setattr(sys.modules["resource_server"], "keys", jwt.PyJWKClient(f"http://127.0.0.1:{free_port()}"))
        assert status(resource, token) == 503
    with monkeypatch.context() as between:
        between.setattr("json.load", lambda _: json.loads("<html>502 Bad Gateway</html>"))
        assert resource.get(f"/download?token={token}").status_code == 503
    with monkeypatch.context() as away:
        away.setitem(vars(sys.modules["resource_server"]), "AUTH", f"http://127.0.0.1:{free_port()}")
        assert resource.get(f"/download?token={token}").status_code == 503
    assert resource.get(f"/download?token={token}").status_code == 200
