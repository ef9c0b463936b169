"""Peers that do the same job: a stored, revocable credential is exchanged for a signed ES256 access token.

`make bench` installs them, in folders that git ignores. They get the same PostgreSQL, as many processes, and nothing
that would make them slower: no access log, and connections that stay open. The program of each makes as many users as
its argument says and prints their credentials; without an argument it serves.
"""

import json
import os
import secrets
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from psycopg.conninfo import conninfo_to_dict

from ..calls import JSON, Work, request
from ..load import Target
from ..service import database, flask, serving

HERE: Final = Path(__file__).parent
Command = Sequence[str | Path]
USERS: Final = "64"
PYTHON: Final = HERE / "simplejwt" / "installed" / "bin"
# gthread with 2, 8 or 48 threads served fewer than sync
GUNICORN: Final = ("--no-control-socket", "--log-level=warning", "--worker-class=sync")


@contextmanager
def peers(server_url: str) -> Iterator[list[Target]]:
    """Their exchanges, each served by a process group of its own."""
    simplejwt: tuple[Command, Command] = (
        [PYTHON / "python", "peer.py"],
        [PYTHON / "gunicorn", "peer:application", *GUNICORN],
    )
    with ExitStack() as running:
        port, tokens = running.enter_context(_peer(server_url, "simplejwt", *simplejwt))
        exchanges = [request("POST", "/refresh", JSON, json.dumps({"refresh": token})) for token in tokens]
        other_port, cookies = running.enter_context(_peer(server_url, "better_auth", *[["node", "server.mjs"]] * 2))
        fetches = [request("GET", "/api/auth/token", {"Cookie": cookie}) for cookie in cookies]
        yield [
            (port, Work("simplejwt, a signed token and its blacklist", exchanges, b"access")),
            (other_port, Work("better-auth, a stored session's cookie", fetches, b"token")),
        ]


@contextmanager
def _peer(server_url: str, name: str, make_users: Command, serve: Command) -> Iterator[tuple[int, list[str]]]:
    """A port, and the credentials to show there."""
    with database(server_url, name) as url:
        parts = conninfo_to_dict(url)
        names = {"PGHOST": "host", "PGPORT": "port", "PGUSER": "user", "PGDATABASE": "dbname"}
        variables = {name: str(parts[part]) for name, part in names.items()}
        variables |= {
            "SECRET_KEY": secrets.token_hex(32),
            "JWT_PRIVATE_KEY": flask("keys", "generate"),
            "NODE_ENV": "production",
        }
        command = [*make_users, USERS]
        output = subprocess.check_output(command, cwd=HERE / name, env=os.environ | variables, text=True)
        with serving(serve, variables, HERE / name) as server:
            yield server.port, output.splitlines()
