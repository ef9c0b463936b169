"""A new signing key comes into use while clients go on, and none of them notices."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from auth.cli.keys import generate_private_key
from auth.core.keys import load_private_key

from .support.api import Api
from .support.copies import wait_until
from .support.servers import Server
from .support.world import World

pytestmark = pytest.mark.xdist_group("rotation")

CACHE_SECONDS = 0.2  # in place of the five minutes that JWKS caches keep, and of the ten that tokens live

Environment = dict[str, str]


def public(pem: str) -> str:
    key = load_private_key(pem).public_key()
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


class Deployment:
    """A server, which is replaced when its environment changes."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self.serving = [self._start({})]
        self.clients: list[Client] = []

    def deploy(self, **changes: str) -> None:
        """The old and the new server run side by side for a while, as in every rolling deployment."""
        old, new = self.serving, [self._start(changes)]
        self._serve([*old, *new])
        self._serve(new)
        for server in old:
            server.stop()

    def _serve(self, servers: list[Server]) -> None:
        """Use these servers until every client has got a token from each of them, and has used it."""
        self.serving = servers
        enough = [client.refreshes + 4 for client in self.clients]
        wait_until(lambda: all(client.refreshes >= n for client, n in zip(self.clients, enough, strict=True)))

    def _start(self, changes: Environment) -> Server:
        server = Server({**self._environment, **changes})
        server.wait_until_up()
        return server

    def stop(self) -> None:
        for server in self.serving:
            server.stop()


class Client(threading.Thread):
    """Refreshes, verifies by a key set that it caches, and makes calls. It records every failure."""

    def __init__(self, deployment: Deployment, refresh_token: str) -> None:
        super().__init__()
        self._deployment, self._refresh_token = deployment, refresh_token
        self._keys: dict[str, jwt.PyJWK] = {}
        self._ending = threading.Event()
        self.refreshes = 0
        self.signers: set[str] = set()
        self.failures: list[Any] = []

    def run(self) -> None:
        token, fetched, minted = "", 0.0, 0.0
        while not self._ending.wait(0.02):
            if time.monotonic() - minted > CACHE_SECONDS:
                token, minted = self._next_api().refresh(self._refresh_token).json["accessToken"], time.monotonic()
                self.refreshes += 1
            if time.monotonic() - fetched > CACHE_SECONDS:
                self._keys = {key["kid"]: jwt.PyJWK(key) for key in self._next_api().jwks()["keys"]}
                fetched = time.monotonic()
            self._verify(token)
            for server in self._deployment.serving:
                answer = server.api.sessions(token)
                if answer.status != 200:
                    self.failures.append((answer.status, answer.body))

    def end(self) -> None:
        self._ending.set()
        self.join()

    def _next_api(self) -> Api:
        servers = self._deployment.serving
        return servers[self.refreshes % len(servers)].api

    def _verify(self, token: str) -> None:
        kid = jwt.get_unverified_header(token)["kid"]
        if kid not in self._keys:
            self.failures.append(f"{kid} is not known")
            return
        jwt.decode(token, self._keys[kid], audience="all:write", issuer="cloud.sdu.dk")
        self.signers.add(kid)


@contextmanager
def clients(environment: Environment, world: World) -> Iterator[tuple[Deployment, list[Client]]]:
    deployment = Deployment(environment)
    running = deployment.clients = [Client(deployment, world.session().refresh_token) for _ in range(3)]
    for client in running:
        client.start()
    try:
        yield deployment, running
    finally:
        for client in running:
            client.end()
        deployment.stop()


def test_no_request_fails(environment: Environment, world: World) -> None:
    """Publish, sign, retire: the steps of docs/operations.md. The new key also has another algorithm."""
    last, new = environment["JWT_PRIVATE_KEY"], generate_private_key("EdDSA")
    with clients(environment, world) as (deployment, running):
        deployment.deploy(JWT_PUBLIC_KEYS=public(new))
        deployment.deploy(JWT_PRIVATE_KEY=new, JWT_PUBLIC_KEYS=public(last))
        deployment.deploy(JWT_PRIVATE_KEY=new)
        assert len(deployment.serving[0].api.jwks()["keys"]) == 1
    assert [client.failures for client in running] == [[], [], []]
    assert [len(client.signers) for client in running] == [2, 2, 2]


def test_without_the_first_step_some_requests_fail(environment: Environment, world: World) -> None:
    """This shows that the test above can fail."""
    last, new = environment["JWT_PRIVATE_KEY"], generate_private_key("ES256")
    with clients(environment, world) as (deployment, running):
        deployment.deploy(JWT_PRIVATE_KEY=new, JWT_PUBLIC_KEYS=public(last))
    assert any(client.failures for client in running)
