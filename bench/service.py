"""Deployments to measure: gunicorn on an embedded PostgreSQL with durable settings, on this machine only."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlencode

import psycopg
from psycopg.conninfo import conninfo_to_dict

from auth.db import Database, DirectDatabase
from auth.embedded import EmbeddedPostgres
from auth.keys import Keyring, generate_private_key, load_private_key
from auth.migrations import migrate
from auth.tokens import AccessTokens
from tests.servers import Server, serving
from tests.world import ORIGIN, World

WORKERS: Final = 2


@dataclass
class Deployment:
    servers: list[Server]
    world: World
    database_url: str
    environment: dict[str, str]

    @property
    def port(self) -> int:
        return self.servers[0].port


@contextmanager
def postgres() -> Iterator[str]:
    """The URL of a fresh PostgreSQL server. It is as it comes, durable and all, but that it lets more connect."""
    home = Path(tempfile.mkdtemp(prefix="auth-bench-"))
    home.chmod(0o711)
    server = EmbeddedPostgres(home, ["max_connections=300", "max_wal_size=8GB"])
    server.start()
    try:
        yield server.url()
    finally:
        server.remove()
        shutil.rmtree(home)


@contextmanager
def database(server_url: str, name: str) -> Iterator[str]:
    """The URL of a fresh database of that name."""
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
        yield f"postgresql://?{urlencode(conninfo_to_dict(server_url) | {'dbname': name}, quote_via=quote)}"
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@contextmanager
def service(server_url: str, name: str, count: int = 1, workers: int = WORKERS) -> Iterator[Deployment]:
    """That many servers on a fresh database, up and answering; they log to a file."""
    with database(server_url, name) as url, tempfile.NamedTemporaryFile() as log:
        migrate(DirectDatabase(url))
        pem, parts = generate_private_key("ES256"), Database(url)
        world = World(parts, AccessTokens(Keyring.of(load_private_key(pem)), "cloud.sdu.dk"))
        environment = {"DATABASE_URL": url, "JWT_PRIVATE_KEY": pem, "TRUSTED_ORIGINS": ORIGIN, "LOG_LEVEL": "info"}
        try:
            with serving(environment, count, workers, Path(log.name)) as servers:
                yield Deployment(servers, world, url, environment)
        finally:
            parts.close()


@contextmanager
def deployed(count: int = 1, workers: int = WORKERS) -> Iterator[Deployment]:
    """A PostgreSQL server, and servers of the service on it."""
    with postgres() as url, service(url, "service", count, workers) as deployment:
        yield deployment
