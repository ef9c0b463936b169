"""The resource server and the portal's server of `examples/`, against the service as it is deployed."""

import base64
import importlib.util
import json
import re
import sys
from collections.abc import Iterator
from typing import Any
from urllib.request import Request, urlopen

import jwt
import pytest
from flask.testing import FlaskClient

from auth.cli.keys import generate_private_key
from auth.core.keys import Keyring, load_private_key
from auth.core.tokens import AccessTokens
from examples.portal import FILES, create_app

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
    foreign = World(world.db, AccessTokens(Keyring(load_private_key(generate_private_key("ES256"))), "cloud.sdu.dk"))
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
    """A link that cannot be claimed now opens no file. The answer is 503 and not 409, and the link works later."""
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


@pytest.fixture
def portal(server: Server, world: World) -> FlaskClient:
    return create_app(f"http://127.0.0.1:{server.port}", world.service("files:read").refresh_token).test_client()


def link(api: Api, token: str, name: str) -> str:
    """A link to that file, made as the page makes it."""
    audience = f"files.download:read:file!{base64.b64encode(name.encode()).decode()}"
    return f"/files/{name}?token={api.request_one_time_token(token, audience).ok()['accessToken']}"


def test_a_call_of_the_portal_needs_a_scope_that_covers_it(portal: FlaskClient, api: Api, world: World) -> None:
    def statuses(token: str) -> tuple[int, int]:
        headers = {"Authorization": f"Bearer {token}"}
        return portal.get("/files", headers=headers).status_code, portal.post("/jobs", headers=headers).status_code

    user = world.user()
    assert statuses(world.access_token(user, ["files:write"])) == (200, 401)
    assert statuses(world.access_token(user, ["files.list.deep:read", "jobs:read"])) == (401, 401)
    one_time = api.request_one_time_token(world.session(user).access_token, "files:write,jobs:write").ok()
    assert statuses(one_time["accessToken"]) == (401, 401)


def test_the_portal_has_no_inline_code(portal: FlaskClient) -> None:
    answer = portal.get("/")
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
    assert "unsafe" not in policy
    assert not re.search(r"<style|<script(?! type=\"module\" src=)| style=| on\w+=", answer.text)


def test_a_link_of_the_portal_is_for_one_file(portal: FlaskClient, api: Api, world: World) -> None:
    session = world.session()
    path = link(api, session.access_token, "travel-plan.txt")
    assert portal.get(path.replace("travel-plan", "bread-recipe")).status_code == 401
    assert portal.get(path).text == FILES["travel-plan.txt"]
    assert portal.get(path).status_code == 409
    assert portal.get(f"/files/travel-plan.txt?token={session.access_token}").status_code == 401


def test_a_lost_answer_spends_no_link(
    portal: FlaskClient, api: Api, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, claims = link(api, world.session().access_token, "travel-plan.txt"), list[Request]()

    def lossy(asked: Request, timeout: float) -> Any:
        answer = urlopen(asked, timeout=timeout)
        if "/auth/claim" in asked.full_url:
            claims.append(asked)
            if len(claims) == 1:
                answer.close()
                raise OSError
        return answer

    monkeypatch.setattr("examples.portal.auth_service.urlopen", lossy)
    assert portal.get(path).text == FILES["travel-plan.txt"]
    assert len(claims) == 2
    assert portal.get(path).status_code == 409
