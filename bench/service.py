"""A deployment to measure: gunicorn on an embedded PostgreSQL with durable settings, on this machine only."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from auth.db import Database, PatientDatabase
from auth.embedded import EmbeddedPostgres
from auth.keys import Keyring, generate_private_key, load_private_key
from auth.migrations import migrate
from auth.tokens import AccessTokens
from tests.servers import Server, serving
from tests.world import World


@dataclass
class Deployment:
    servers: list[Server]
    world: World
    database_url: str


@contextmanager
def deployed(count: int = 1, workers: int = 2) -> Iterator[Deployment]:
    """That many servers with that many worker processes each, up and answering."""
    home = Path(tempfile.mkdtemp(prefix="auth-bench-"))
    home.chmod(0o711)
    postgres = EmbeddedPostgres(home)
    postgres.start()
    database = Database(postgres.url())
    try:
        migrate(PatientDatabase(postgres.url()))
        pem = generate_private_key("ES256")
        world = World(database, AccessTokens(Keyring.of(load_private_key(pem)), "cloud.sdu.dk"))
        environment = {"DATABASE_URL": postgres.url(), "JWT_PRIVATE_KEY": pem}
        with serving(environment, count, workers) as servers:
            yield Deployment(servers, world, postgres.url())
    finally:
        database.close()
        postgres.stop()
        shutil.rmtree(home)
