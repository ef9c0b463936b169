"""Peers that do the same job: a stored, revocable credential is exchanged for a signed ES256 access token.

`make bench` installs them, in folders that git ignores. They get the same PostgreSQL, as many processes, and nothing
that would make them slower: no access log, and connections that stay open.
"""

import json
import os
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from psycopg.conninfo import conninfo_to_dict

from ..calls import Work, request
from ..load import Target
from ..service import Command, database, flask, serving

HERE: Final = Path(__file__).parent
BIN: Final = HERE / "simplejwt" / "installed" / "bin"
USERS: Final = "64"
# with sync workers, the default: gthread with 2, 8 or 48 threads served fewer
GUNICORN: Final = (BIN / "gunicorn", "peer:application", "--no-control-socket", "--log-level=warning")
# By name: the program that makes users and prints the request of each, and the one that serves.
PEERS: Final[dict[str, tuple[Command, Command]]] = {
    "simplejwt": ((BIN / "python", "peer.py"), GUNICORN),
    "better_auth": (("node", "server.mjs"), ("node", "server.mjs")),
}


@contextmanager
def peers(server_url: str) -> Iterator[list[Target]]:
    """Their exchanges, each served by a process group of its own."""
    with ExitStack() as running:
        yield [running.enter_context(_peer(server_url, name)) for name in PEERS]


@contextmanager
def _peer(server_url: str, name: str) -> Iterator[Target]:
    make_users, serve = PEERS[name]
    with database(server_url, name) as url:
        parts = conninfo_to_dict(url)
        names = {"PGHOST": "host", "PGPORT": "port", "PGUSER": "user", "PGDATABASE": "dbname"}
        variables = {name: str(parts[part]) for name, part in names.items()} | {"NODE_ENV": "production"}
        variables |= {"SECRET_KEY": secrets.token_hex(32), "JWT_PRIVATE_KEY": flask("keys", "generate")}
        command, environment = [*make_users, USERS], os.environ | variables
        output = subprocess.check_output(command, cwd=HERE / name, env=environment, text=True)
        requests = [request(*json.loads(line)) for line in output.splitlines()]
        with serving(serve, variables, HERE / name) as (port, _):
            yield port, Work(name, requests, b"ey")  # a token starts so
