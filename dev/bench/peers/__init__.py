"""Peers that do the same job: a stored, revocable credential is exchanged for a signed ES256 access token.

They are installed on demand, beside their set-ups, in folders that git ignores. They get the same PostgreSQL, as many
processes, and nothing that would make them slower: no access log, and connections that stay open.
"""

import http.client
import json
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from psycopg.conninfo import conninfo_to_dict

from auth.keys import generate_private_key
from tests.servers import free_port

from ..load import Work, request
from ..processes import serving
from ..service import WORKERS, database

HERE: Final = Path(__file__).parent
USERS: Final = 64


@contextmanager
def peers(server_url: str) -> Iterator[list[Work]]:
    """Their exchanges, each served by a process group of its own."""
    with ExitStack() as running:
        yield [running.enter_context(peer(server_url)) for peer in (simplejwt, better_auth)]


@contextmanager
def simplejwt(server_url: str) -> Iterator[Work]:
    """djangorestframework-simplejwt: a signed refresh token, checked against the blacklist and the user."""
    folder, programs = HERE / "simplejwt", _installed_python()
    port, secret = free_port(), {"SECRET_KEY": secrets.token_hex(32), "JWT_PRIVATE_KEY": generate_private_key("ES256")}
    with database(server_url, "simplejwt") as url:
        environment = _environment(url) | secret
        made = subprocess.run(
            [str(programs / "python"), "peer.py", str(USERS)],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            check=True,
        )
        where = [f"--bind=127.0.0.1:{port}", "--no-control-socket", "--log-level=warning"]
        how = ["--worker-class=sync", f"--workers={WORKERS}"]  # gthread with 2, 8 or 48 threads served fewer
        with serving([programs / "gunicorn", "peer:application", *where, *how], folder, environment, port):
            bodies = [json.dumps({"refresh": token}) for token in made.stdout.decode().split()]
            headers = {"Content-Type": "application/json"}
            yield Work("simplejwt", port, [request("POST", "/refresh", headers, body) for body in bodies], b"access")


@contextmanager
def better_auth(server_url: str) -> Iterator[Work]:
    """better-auth with its jwt plugin: the cookie of a stored session."""
    folder, port = HERE / "better_auth", free_port()
    _install_node(folder)
    with database(server_url, "better_auth") as url:
        environment = _environment(url) | {"PORT": str(port), "WEB_CONCURRENCY": str(WORKERS)}
        environment |= {"BETTER_AUTH_SECRET": secrets.token_hex(32), "NODE_ENV": "production"}
        with serving(["node", "server.mjs"], folder, environment, port):
            with ThreadPoolExecutor(4) as pool:
                cookies = list(pool.map(lambda number: _sign_up(port, number), range(USERS)))
            requests = [request("GET", "/api/auth/token", {"Cookie": cookie}) for cookie in cookies]
            yield Work("better-auth", port, requests, b"token")


def _sign_up(port: int, number: int) -> str:
    """A new user's session cookie."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    person = {"name": "Ada", "email": f"user-{number}@example.org", "password": secrets.token_hex(16)}
    connection.request("POST", "/api/auth/sign-up/email", json.dumps(person), {"Content-Type": "application/json"})
    answer = connection.getresponse()
    body, cookie = answer.read(), answer.getheader("Set-Cookie")
    if answer.status != 200 or cookie is None:
        raise RuntimeError(f"better-auth: {answer.status} {body[:300]!r}")
    return cookie.partition(";")[0]


def _environment(url: str) -> dict[str, str]:
    parts = conninfo_to_dict(url)
    names = {"PGHOST": "host", "PGPORT": "port", "PGUSER": "user", "PGDATABASE": "dbname"}
    return {"PATH": os.environ["PATH"], **{name: str(parts[part]) for name, part in names.items()}}


def _installed_python() -> Path:
    """The folder of the peer's Python."""
    folder, requirements = HERE / "simplejwt" / "installed", HERE / "simplejwt" / "requirements.txt"
    if not _is_current(folder, requirements):
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", str(requirements)]
        subprocess.run([str(folder / "bin" / "python"), *install], check=True)
        (folder / "done").touch()
    return folder / "bin"


def _install_node(folder: Path) -> None:
    if shutil.which("npm") is None:
        sys.exit("The benchmark needs Node.js 20 or newer, for the peer better-auth: https://nodejs.org/")
    if not _is_current(folder / "node_modules", folder / "package-lock.json"):
        subprocess.run(["npm", "ci", "--silent"], cwd=folder, check=True)
        (folder / "node_modules" / "done").touch()


def _is_current(folder: Path, pins: Path) -> bool:
    done = folder / "done"
    return done.exists() and done.stat().st_mtime > pins.stat().st_mtime
