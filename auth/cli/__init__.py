"""The command line: Click commands on Flask's, one file for each noun."""

from flask import Flask

from . import db, keys, login_services, services, users
from .doctor import doctor
from .purge import purge


def register_commands(app: Flask) -> None:
    """Make the commands known to `flask`."""
    groups = (db.commands, users.commands, services.commands, login_services.commands, keys.commands)
    for command in (*groups, purge, doctor):
        app.cli.add_command(command)
