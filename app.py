"""The application: from top to bottom, every component of the service."""

import sys

import click
from flask import Flask

from auth import cli, config
from auth.config import Config
from auth.core.tokens import AccessTokens
from auth.db import Database
from auth.http import openapi
from auth.http.request import Services, current_request, request_class_for
from auth.http.responses import Response, register_error_handlers
from auth.ops import health, metrics
from auth.ops.request_log import log_request
from auth.rpcs import delegations, extension, login, logout, one_time, passwords, refresh, sessions, well_known


def create_app(configuration: Config) -> Flask:
    """The service with that configuration. It connects to its database at the first request."""
    app = Flask(__name__, static_folder=None)
    app.url_map.merge_slashes = False  # //auth/login is 404, not a redirect
    database = Database(configuration.database_url)
    tokens = AccessTokens(configuration.keyring, configuration.issuer)
    app.response_class = Response
    app.request_class = request_class_for(Services(configuration, database, tokens))

    app.register_blueprint(login.blueprint)
    app.register_blueprint(refresh.blueprint)
    app.register_blueprint(logout.blueprint)
    app.register_blueprint(one_time.blueprint)
    app.register_blueprint(extension.blueprint)
    app.register_blueprint(sessions.blueprint)
    app.register_blueprint(delegations.blueprint)
    app.register_blueprint(passwords.blueprint)
    app.register_blueprint(well_known.blueprint)
    app.register_blueprint(health.blueprint)
    app.register_blueprint(openapi.blueprint)
    app.register_blueprint(metrics.blueprint)

    register_error_handlers(app)
    app.after_request(finish)
    return app


def finish(response: Response) -> Response:
    """Record the request."""
    log_request(current_request(), response.status_code)
    return response


def create_command_line() -> Flask:
    """The commands alone, for `flask`: they need fewer variables than the service."""
    app = Flask(__name__, static_folder=None)
    cli.register_commands(app)
    return app


def __getattr__(name: str) -> Flask:
    """Create `app` at its first use: the service for gunicorn, the commands for `flask`."""
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if click.get_current_context(silent=True) is not None:
        return create_command_line()
    try:
        return create_app(config.from_environment())
    except config.Misconfigured as problems:
        sys.exit(str(problems))
