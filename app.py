"""The application: from top to bottom, every component of the service."""

import click
from flask import Flask

from auth import cli, config
from auth.config import Config
from auth.core.tokens import AccessTokens
from auth.db import Pool
from auth.http import documents
from auth.http.request import Request
from auth.ops import health, metrics
from auth.rpcs import extension, grants, login, logout, oauth, one_time, passwords, refresh, scripts, second_factor, sla
from auth.service import Service


def create_app(configuration: Config) -> Service:
    """The service with that configuration. It connects to its database at the first request."""

    class ServiceRequest(Request):
        config = configuration
        database = Pool(configuration.database_url)
        tokens = AccessTokens(configuration.keyring, configuration.issuer, configuration.second_factor_required)

    app = Service(__name__, ServiceRequest)
    rpcs = (login, refresh, logout, grants, one_time, extension, passwords, second_factor, sla, oauth, scripts)
    for part in (*rpcs, documents, health, metrics):
        app.register_blueprint(part.blueprint)
    return app


def __getattr__(name: str) -> Flask:
    """Create `app` at its first use: the service for gunicorn, the commands for `flask`."""
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if click.get_current_context(silent=True) is not None:
        return cli.command_line
    return create_app(config.from_environment())
