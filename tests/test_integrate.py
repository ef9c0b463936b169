"""docs/integrate.md: its code, when copied, works against a server."""

import os
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.error import HTTPError

import jwt
import pytest
from werkzeug import Request, Response
from werkzeug.serving import make_server

from auth.cli.keys import generate_private_key
from auth.core.keys import Keyring, load_private_key
from auth.core.scopes import Scope
from auth.core.tokens import AccessTokens
from examples.portal import auth_service

from .support.api import Api, send_to_server
from .support.guide import blocks
from .support.programs import missing, program
from .support.servers import BIN, Server, free_port, serving
from .support.world import World

SCOPES = (
    "all:write", "all:read", "files:write", "files:read", "files.list:read", "files.list.deep:write", "jobs:read",
    "special:read", "special.files:write", "files:read:folder!YQ==", "files.list:read:folder!YQ==,name!Yg==",
    "files:write:folder!Yg==",
)  # fmt: skip


@pytest.fixture(scope="module")
def server(environment: dict[str, str]) -> Iterator[Server]:
    with serving(environment) as [server]:
        yield server


@pytest.fixture
def api(server: Server) -> Api:
    return server.client()


@pytest.fixture
def guide(server: Server, world: World, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The names that the Python code defines."""
    monkeypatch.setenv("AUTH", f"http://127.0.0.1:{server.port}")
    monkeypatch.setenv("SERVICE_REFRESH_TOKEN", world.service("files:read").refresh_token)
    names: dict[str, Any] = {"__name__": "guide"}
    exec("\n".join(blocks("python")), names)
    return SimpleNamespace(**names)


def refused_tokens(world: World) -> dict[str, str]:
    user = world.user()
    foreign = World(world.db, AccessTokens(Keyring(load_private_key(generate_private_key("ES256"))), "cloud.sdu.dk"))
    other = World(world.db, AccessTokens(world.tokens.keyring, "https://other.example.org"))
    return {
        "garbage": "garbage",
        "another's key": foreign.access_token(user),
        "another issuer": other.access_token(user),
        "expired": world.access_token(user, lifetime_ms=-60_000),
    }


def test_python_verifies_a_token(guide: SimpleNamespace, world: World) -> None:
    session = world.session()
    assert guide.claims_of(session.access_token)["sub"] == session.id
    for name, token in refused_tokens(world).items():
        with pytest.raises(jwt.PyJWTError):
            pytest.fail(f"{name}: {guide.claims_of(token)}")


def test_node_verifies_a_token(server: Server, world: World, tmp_path: Path) -> None:
    modules = BIN.parent / "node_modules"
    if not (modules / "jose").exists():
        missing("jose: `make install`, which needs npm")
    (tmp_path / "node_modules").symlink_to(modules)
    [code] = [block for block in blocks("js") if "jose" in block]
    loop = (
        "for (const token of process.argv.slice(2)) console.log(await claimsOf(token).then((c) => c.sub, () => null));"
    )
    (tmp_path / "verify.mjs").write_text(code + loop)
    session = world.session()
    tokens = [session.access_token, *refused_tokens(world).values()]
    printed = subprocess.run(
        ["node", "verify.mjs", *tokens], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True,
        env={"PATH": os.environ["PATH"], "AUTH": f"http://127.0.0.1:{server.port}"},
    ).stdout  # fmt: skip
    assert printed.split() == [session.id, *["null"] * (len(tokens) - 1)]


def test_scopes_cover_by_the_rule_of_the_service(guide: SimpleNamespace) -> None:
    for held, asked in product(SCOPES, SCOPES):
        expected = Scope.parse(asked).covered_by(Scope.parse(held))
        assert guide.covers(held, asked) == auth_service.covers(held, asked) == expected, (held, asked)


def test_a_one_time_token_is_for_one_use(guide: SimpleNamespace, api: Api, world: World) -> None:
    token = api.request_one_time_token(world.session().access_token, "files:read").json["accessToken"]
    claims = guide.claims_of(token)
    assert not guide.may(claims, "files:read")
    guide.spend(claims, "key-1")
    guide.spend(claims, "key-1")
    with pytest.raises(HTTPError, match="409") as refused:
        guide.spend(claims, "key-2")
    refused.value.close()


def test_a_delegation_acts_until_its_user_ends_it(guide: SimpleNamespace, api: Api, world: World) -> None:
    session = world.session()
    refresh_token = guide.delegation(session.access_token, "files.list:read")
    api.logout(session.refresh_token).ok()
    claims = guide.claims_of(guide.act(refresh_token))
    assert guide.may(claims, "files.list:read")
    assert not guide.may(claims, "files.list:write")
    again = world.session(session.id)
    api.invalidate_delegations(again.access_token).ok()
    with pytest.raises(HTTPError, match="401") as refused:
        guide.act(refresh_token)
    refused.value.close()


def test_nginx_lets_only_verified_users_through(guide: SimpleNamespace, world: World, tmp_path: Path) -> None:
    session = world.session()
    with running(greeting) as behind, running(guide.app) as verifier, nginx(tmp_path, behind, verifier) as front:
        anybody = Api(send_to_server(front))
        answer = anybody.call("GET", "/", session.access_token, X_User="somebody else")
        assert (answer.status, answer.body.decode()) == (200, session.id)
        assert anybody.call("GET", "/", world.access_token(session.id, ["jobs:read"])).status == 401
        assert anybody.call("GET", "/verify", session.access_token).status == 404
        for name, token in {"none": None, **refused_tokens(world)}.items():
            assert anybody.call("GET", "/", token, X_User="somebody").status == 401, name


@Request.application
def greeting(request: Request) -> Response:
    return Response(request.headers["X-User"])


@contextmanager
def running(application: Any) -> Iterator[int]:
    """The port at which the application is served."""
    with make_server("127.0.0.1", free_port(), application, threaded=True) as server:
        thread = threading.Thread(target=server.serve_forever, args=[0.05])
        thread.start()
        yield server.port
        server.shutdown()
        thread.join()


@contextmanager
def nginx(home: Path, behind: int, verifier: int) -> Iterator[int]:
    """The port of an nginx with the guide's configuration."""
    port = free_port()
    locations = blocks("nginx")[0].replace("9000", str(behind)).replace("9001", str(verifier))
    folders = " ".join(f"{name}_temp_path {home};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    (home / "nginx.conf").write_text(
        f"daemon off; master_process off; pid {home}/pid; error_log stderr; events {{}} "
        f"http {{ access_log off; {folders} server {{ listen 127.0.0.1:{port};\n{locations} }} }}"
    )
    process = subprocess.Popen(
        [program("nginx", "nginx-light"), "-p", home, "-c", home / "nginx.conf"], stderr=subprocess.DEVNULL
    )
    try:
        wait_for(port, process)
        yield port
    finally:
        process.terminate()
        process.wait(30)


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        with suppress(OSError):
            send_to_server(port)("GET", "/", {}, None)
            return
        assert process.poll() is None, "nginx did not start"
        time.sleep(0.05)
    raise AssertionError("nginx did not answer")
