"""The command line: Click commands on Flask's, one file for each noun."""

from flask import Flask

from . import db, keys, login_services, services, sessions, sla, users
from .doctor import doctor
from .purge import purge

command_line = Flask(__name__, static_folder=None)  # without the service: the commands need fewer variables
nouns = (db, users, sessions, services, login_services, keys, sla)
for command in (*(noun.commands for noun in nouns), purge, doctor):
    command_line.cli.add_command(command)
