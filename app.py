"""The application: from top to bottom, every moving part of the service."""

import logging
import sys

import click
from flask import Flask

from auth import (
    cli,
    config,
    extension,
    health,
    login,
    logout,
    metrics,
    one_time,
    openapi,
    refresh,
    sessions,
    well_known,
)
from auth.audit import write_down
from auth.config import Config
from auth.cors import allow_trusted_origins
from auth.current import EXTENSION, Parts
from auth.db import Database
from auth.responses import protect_answers, register_error_handlers
from auth.tokens import AccessTokens


def create_app(configuration: Config) -> Flask:
    """The service with that configuration. It connects to its database at the first request, not before."""
    app = Flask(__name__, static_folder=None)
    app.url_map.merge_slashes = False  # //auth/login is not a path of ours, nor a reason to redirect
    database = Database(configuration.database_url)
    tokens = AccessTokens(configuration.keyring, configuration.issuer)
    app.extensions[EXTENSION] = Parts(configuration, database, tokens)

    app.register_blueprint(login.blueprint)
    app.register_blueprint(refresh.blueprint)
    app.register_blueprint(logout.blueprint)
    app.register_blueprint(one_time.blueprint)
    app.register_blueprint(extension.blueprint)
    app.register_blueprint(sessions.blueprint)
    app.register_blueprint(well_known.blueprint)
    app.register_blueprint(health.blueprint)
    app.register_blueprint(openapi.blueprint)
    app.register_blueprint(metrics.blueprint)

    write_down(app)
    register_error_handlers(app)
    protect_answers(app)
    allow_trusted_origins(app)
    return app


def create_command_line() -> Flask:
    """The commands alone, for `flask`: they need less of the environment than the service does."""
    app = Flask(__name__, static_folder=None)
    cli.register_commands(app)
    logging.getLogger("auth").addHandler(logging.NullHandler())  # a command says what went wrong in one line
    return app


def __getattr__(name: str) -> Flask:
    """`app`, made when somebody asks for it: gunicorn for the service, `flask` for its commands."""
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if click.get_current_context(silent=True) is not None:
        return create_command_line()
    try:
        return create_app(config.from_environment())
    except config.Misconfigured as problems:
        sys.exit(str(problems))
