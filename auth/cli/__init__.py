"""The command line: Click commands on Flask's, one file for each noun."""

from flask import Flask

from . import db, keys, login_services, services, sessions, sla, users
from .doctor import doctor
from .purge import purge


def register_commands(app: Flask) -> None:
    """Make the commands known to `flask`."""
    nouns = (db, users, sessions, services, login_services, keys, sla)
    for command in (*(noun.commands for noun in nouns), purge, doctor):
        app.cli.add_command(command)
