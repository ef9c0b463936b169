"""Behind PgBouncer in transaction mode, where statements share no session; `make test-pgbouncer` runs all."""

import secrets
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from auth.cli.common import DirectDatabase
from auth.cli.migrations import migrate
from auth.config import Config
from auth.connection import Connection
from auth.core.tokens import AccessTokens
from auth.db import Pool

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


def self_signed() -> bytes:
    """A key and its certificate."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=1))
    certificate = builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()) + certificate


def test_an_idle_connection_with_tls_is_used_again(postgres_url: str) -> None:
    """TLS 1.3 sends tickets after the handshake. If they stayed unread, the connection would look closed."""
    used = list[Connection]()
    with pgbouncer(postgres_url, self_signed()) as url:
        database = Pool(f"{url}&sslmode=require")
        for _ in range(5):
            assert database.one("server_facts")
            used += database._idle
            time.sleep(0.05)
        assert used == [used[0]] * 5
        assert used[0].pgconn.ssl_in_use
        database.close()
