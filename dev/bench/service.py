"""Deployments to measure, on this machine only; all that the benchmark imports of the service is imported here."""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlencode

import psycopg
from psycopg.conninfo import conninfo_to_dict

from auth.core.refresh_tokens import csrf_token as csrf_token
from dev.embedded import EmbeddedPostgres

Command = Sequence[str | Path]
Server = tuple[int, int]  # its port and its process id
PROJECT: Final = Path(__file__).parents[2]
BIN: Final = Path(sys.executable).parent
SERVICE: Final = (BIN / "gunicorn", "app:app")
WORKERS: Final = 2  # processes of every server
ORIGIN: Final = "https://cloud.example.org"


@contextmanager
def postgres(*settings: str) -> Iterator[str]:
    """The URL of a fresh PostgreSQL server, durable unless the settings say otherwise."""
    home = Path(tempfile.mkdtemp(prefix="auth-bench-"))
    server = EmbeddedPostgres(home, ["max_connections=300", "max_wal_size=8GB", *settings])
    server.start()
    try:
        yield server.url()
    finally:
        server.remove()


@contextmanager
def database(server_url: str, name: str) -> Iterator[str]:
    """The URL of a fresh database of that name."""
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
        yield f"postgresql://?{urlencode(conninfo_to_dict(server_url) | {'dbname': name}, quote_via=quote)}"
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def environment(database_url: str, folder: Path = PROJECT) -> dict[str, str]:
    """The environment of a deployment with a new key on that database, which the folder's version migrates."""
    flask("db", "migrate", folder=folder, DATABASE_URL=database_url)
    return {
        "DATABASE_URL": database_url,
        "JWT_PRIVATE_KEY": flask("keys", "generate"),
        "TRUSTED_ORIGINS": ORIGIN,
        "TRUSTED_PROXIES": "1",
        "LOG_LEVEL": "info",
    }


def flask(*arguments: str, folder: Path = PROJECT, **variables: str) -> str:
    """The output of a `flask` command."""
    return subprocess.check_output([BIN / "flask", *arguments], cwd=folder, env=os.environ | variables, text=True)


def access_token(port: int, refresh_token: str) -> str:
    """The access token that a running service mints for the refresh token."""
    headers = {"Authorization": f"Bearer {refresh_token}"}
    call = urllib.request.Request(f"http://127.0.0.1:{port}/auth/refresh", method="POST", headers=headers)
    with urllib.request.urlopen(call, timeout=30) as answer:
        return str(json.load(answer)["accessToken"])


@contextmanager
def serving(command: Command, variables: Mapping[str, str], folder: Path = PROJECT) -> Iterator[Server]:
    """The port and the process id of a server that takes its settings from the environment, and logs to a file.

    Raises `RuntimeError` when it does not listen within half a minute.
    """
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    settings = {"PORT": f"{port}", "WEB_CONCURRENCY": f"{WORKERS}", "GUNICORN_CMD_ARGS": f"--bind=127.0.0.1:{port}"}
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, cwd=folder, env={**os.environ, **variables, **settings}, stdout=log)
        try:
            deadline = time.monotonic() + 30
            while not _listens(port):
                if time.monotonic() > deadline or process.poll() is not None:
                    raise RuntimeError(f"{command} does not listen")
            yield port, process.pid
        finally:
            process.terminate()
            process.wait(30)


def _listens(port: int) -> bool:
    time.sleep(0.02)
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
