"""Deployments to measure: servers on an embedded PostgreSQL with durable settings, on this machine only.

All that the benchmark imports of the service is imported here.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlencode

import psycopg
from psycopg.conninfo import conninfo_to_dict

from auth.embedded import EmbeddedPostgres
from auth.embedded_binaries import server_binaries
from auth.refresh_tokens import csrf_token as csrf_token

PROJECT: Final = Path(__file__).parents[2]
BIN: Final = Path(sys.executable).parent
SERVICE: Final = (BIN / "gunicorn", "app:app")
PGBENCH: Final = server_binaries(Path(), None) / "pgbench"
WORKERS: Final = 2  # processes of every server
ORIGIN: Final = "https://cloud.example.org"


@dataclass(frozen=True)
class Server:
    """A running server."""

    port: int
    process_id: int


@contextmanager
def postgres(*settings: str) -> Iterator[str]:
    """The URL of a fresh PostgreSQL server, durable unless the settings say otherwise."""
    home = Path(tempfile.mkdtemp(prefix="auth-bench-"))
    home.chmod(0o711)
    server = EmbeddedPostgres(home, ["max_connections=300", "max_wal_size=8GB", *settings])
    server.start()
    try:
        yield server.url()
    finally:
        server.remove()
        shutil.rmtree(home)


@contextmanager
def database(server_url: str, name: str) -> Iterator[str]:
    """The URL of a fresh database of that name."""
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
        yield f"postgresql://?{urlencode(conninfo_to_dict(server_url) | {'dbname': name}, quote_via=quote)}"
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def environment(database_url: str) -> dict[str, str]:
    """The environment of a deployment with a new key on that database, which is migrated."""
    flask("db", "migrate", DATABASE_URL=database_url)
    return {
        "DATABASE_URL": database_url,
        "JWT_PRIVATE_KEY": flask("keys", "generate"),
        "TRUSTED_ORIGINS": ORIGIN,
        "TRUSTED_PROXIES": "1",
        "LOG_LEVEL": "info",
    }


def flask(*arguments: str, **variables: str) -> str:
    """The output of a `flask` command."""
    command: list[str | Path] = [BIN / "flask", *arguments]
    return subprocess.check_output(command, cwd=PROJECT, env=os.environ | variables, text=True)


def access_token(port: int, refresh_token: str) -> str:
    """The access token that a running service mints for the refresh token."""
    headers = {"Authorization": f"Bearer {refresh_token}"}
    call = urllib.request.Request(f"http://127.0.0.1:{port}/auth/refresh", method="POST", headers=headers)
    with urllib.request.urlopen(call, timeout=30) as answer:
        return str(json.load(answer)["accessToken"])


@contextmanager
def serving(command: Sequence[str | Path], variables: Mapping[str, str], folder: Path = PROJECT) -> Iterator[Server]:
    """A server that takes its port and number of processes from the environment, and logs to a file.

    Raises `RuntimeError` when it does not listen within half a minute.
    """
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    settings = {"PORT": f"{port}", "WEB_CONCURRENCY": f"{WORKERS}", "GUNICORN_CMD_ARGS": f"--bind=127.0.0.1:{port}"}
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, cwd=folder, env={**os.environ, **variables, **settings}, stdout=log)
        try:
            _wait_for(process, port)
            yield Server(port, process.pid)
        finally:
            process.terminate()
            process.wait(30)


def _wait_for(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        time.sleep(0.02)
    raise RuntimeError(f"{process.args!r} does not answer")
