"""A service with a database of its own, where terms of use are published."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from app import create_app
from auth.cli.common import DirectDatabase
from auth.cli.migrations import migrate
from auth.config import Config

from .api import Api, any_address, request_class, send_to_app
from .command_line import CommandLine
from .databases import NewDatabase
from .world import World, claims


class Site:
    """A service with a database of its own: published terms would hold for the users of all other tests."""

    def __init__(self, url: str, config: Config) -> None:
        self.url = url
        migrate(DirectDatabase(url))
        self.app = create_app(replace(config, database_url=url))
        self.api = Api(send_to_app(self.app, any_address()))
        self.world = World(request_class(self.app).database, request_class(self.app).tokens)
        self.flask = CommandLine({"DATABASE_URL": url})

    def claim(self, refresh_token: str) -> Any:
        return claims(self.api.refresh(refresh_token).ok()["accessToken"])["serviceLicenseAgreement"]


@contextmanager
def own_site(server_url: str, config: Config) -> Iterator[Site]:
    with NewDatabase(server_url) as url:
        site = Site(url, config)
        yield site
        request_class(site.app).database.close()


def publish(site: Site, folder: Path, text: bytes) -> int:
    path = folder / secrets.token_hex(8)
    path.write_bytes(text)
    version = site.flask.json("sla", "publish", str(path))["version"]
    assert isinstance(version, int)
    return version
