"""A real PostgreSQL, the app on it, and a world in which each test makes the rows it needs."""

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from cryptography.fernet import Fernet
from flask import Flask
from psycopg.conninfo import conninfo_to_dict
from xdist.workermanage import NodeManager

from app import create_app
from auth.cli.common import DirectDatabase
from auth.cli.keys import generate_private_key
from auth.cli.migrations import migrate
from auth.config import Config, from_environment
from dev.embedded import EmbeddedPostgres

from .support.api import Api, any_address, request_class, send_to_app
from .support.command_line import CommandLine
from .support.databases import NewDatabase
from .support.leftovers import interrupt_with_parent, supervise
from .support.pgbouncer import pgbouncer
from .support.portal import driver, open_portal  # noqa: F401
from .support.servers import Server, serving
from .support.world import ORIGIN, World


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """The URL of a PostgreSQL on which the tests may make databases."""
    if url := os.environ.get("TEST_DATABASE_URL"):
        yield url
        return
    home = Path(tempfile.mkdtemp(prefix="auth-test-"))
    server = EmbeddedPostgres(home, ["fsync=off", "max_connections=300"])
    server.start()
    yield server.url()
    server.remove()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start with the tests that take long, so that no processor idles at the end."""
    items.sort(key=lambda item: not (item.get_closest_marker("xdist_group") or item.get_closest_marker("slow")))


def pytest_configure() -> None:
    """However this run ends, end what it started."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        NodeManager.EXIT_TIMEOUT = 20  # seconds; xdist kills its workers then, and they end by themselves after 15
        supervise()
    interrupt_with_parent()


def pytest_make_parametrize_id(val: object) -> str | None:
    """A name for keys, which are made anew each time: all of xdist's workers must call a test the same."""
    return "PEM" if isinstance(val, str) and val.startswith("-----BEGIN ") else None


@pytest.fixture(scope="session")
def server_url(postgres_url: str) -> Iterator[str]:
    """The same server, as the service reaches it: through PgBouncer in `make test-pgbouncer`."""
    if "PGBOUNCER" in os.environ:
        with pgbouncer(postgres_url) as url:
            yield url
    else:
        yield postgres_url


@pytest.fixture(scope="session")
def database_url(server_url: str) -> Iterator[str]:
    """The URL of a fresh, migrated database."""
    with NewDatabase(server_url) as url:
        migrate(DirectDatabase(url))
        yield url


@pytest.fixture(scope="session")
def environment(database_url: str) -> dict[str, str]:
    """What a deployment would set."""
    return {
        "DATABASE_URL": database_url,
        "JWT_PRIVATE_KEY": generate_private_key("ES256"),
        "TRUSTED_ORIGINS": ORIGIN,
        "SECOND_FACTOR_KEYS": Fernet.generate_key().decode(),
    }


@pytest.fixture(scope="session")
def config(environment: dict[str, str]) -> Config:
    return from_environment(environment)


@pytest.fixture(scope="session")
def app(config: Config) -> Iterator[Flask]:
    app = create_app(config)
    yield app
    request_class(app).database.close()


@pytest.fixture
def without_order(database_url: str) -> Iterator[None]:
    """New connections read no rows in the order of an index: what a statement does not sort comes as it is stored."""
    name = conninfo_to_dict(database_url)["dbname"]
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(f'ALTER DATABASE "{name}" SET enable_indexscan = off')
        yield
        connection.execute(f'ALTER DATABASE "{name}" RESET enable_indexscan')


@pytest.fixture
def deploy() -> Iterator[Callable[[Config], Flask]]:
    """Makes an app with another configuration; its connections are closed in the end."""
    apps = list[Flask]()

    def deployed(config: Config) -> Flask:
        apps.append(create_app(config))
        return apps[-1]

    yield deployed
    for app in apps:
        request_class(app).database.close()


@pytest.fixture
def address() -> str:
    return any_address()


@pytest.fixture
def api(app: Flask, address: str) -> Api:
    return Api(send_to_app(app, address))


@pytest.fixture(scope="session")
def world(app: Flask, config: Config) -> World:
    return World(request_class(app).database, request_class(app).tokens)


@pytest.fixture
def service(world: World) -> str:
    """A login service's name."""
    return world.login_service()


@pytest.fixture(scope="module")
def servers(environment: dict[str, str]) -> Iterator[list[Server]]:
    """Two servers, for the tests of a file."""
    with serving(environment, count=2) as servers:
        yield servers


@pytest.fixture
def flask(database_url: str) -> CommandLine:
    return CommandLine({"DATABASE_URL": database_url})
