"""Behind PgBouncer in transaction mode, where statements share no session; `make test-pgbouncer` runs all."""

import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from auth.cli.migrations import migrate
from auth.config import Config
from auth.core.tokens import AccessTokens
from auth.db import DirectDatabase

from .support.databases import NewDatabase
from .support.pgbouncer import MISSING, PROGRAM, pgbouncer
from .support.servers import Server, serving
from .support.world import PASSWORD, World

pytestmark = pytest.mark.skipif(PROGRAM is None, reason=MISSING)


@pytest.fixture
def lent_url(postgres_url: str) -> Iterator[str]:
    with pgbouncer(postgres_url) as url, NewDatabase(url) as lent_url:
        yield lent_url


@pytest.fixture
def server(lent_url: str, environment: dict[str, str]) -> Iterator[Server]:
    migrate(DirectDatabase(lent_url))
    with serving(environment | {"DATABASE_URL": lent_url}) as [server]:
        yield server


def test_everybody_logs_in_refreshes_and_claims(server: Server, lent_url: str, config: Config) -> None:
    """Often and at once enough for psycopg to prepare its statements, and for PgBouncer to mix up the sessions."""
    world = World(DirectDatabase(lent_url), AccessTokens(config.keyring, config.issuer))
    user, login_service, bearer = world.user(), world.login_service(), world.service().access_token

    def visit(_: int) -> list[int]:
        api = server.client()
        token = api.login(user, PASSWORD, login_service).ok()["refreshToken"]
        access_token = api.refresh(token).ok()["accessToken"]
        jti = api.request_one_time_token(access_token, "files.download:write").ok()["jti"]
        return [api.claim(bearer, jti).status, api.claim(bearer, jti).status]

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(visit, range(24))) == [[200, 409]] * 24


def test_the_sessions_are_lent(lent_url: str) -> None:
    """This is the transaction mode: another client may see a setting of a client, or the client may lose it."""
    name = f"auth.a{secrets.token_hex(4)}"
    with psycopg.connect(lent_url, autocommit=True) as one, psycopg.connect(lent_url, autocommit=True) as other:
        one.execute(f"SET {name} = 'mine'")
        assert other.execute(f"SHOW {name}").fetchone() == ("mine",)
