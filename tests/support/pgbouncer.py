"""PgBouncer between the tests and their PostgreSQL, in transaction mode: a session is lent for a transaction only."""

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

import psycopg
from psycopg.conninfo import conninfo_to_dict

from .servers import free_port

PROGRAM: Final = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")  # Debian's place for it
MISSING: Final = "PgBouncer is not installed: apt-get install pgbouncer"

SETTINGS: Final = """
[databases]
* = {server}
[pgbouncer]
pool_mode = transaction
auth_type = any
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
max_client_conn = 1000
{more}
"""
TLS: Final = """
client_tls_sslmode = require
client_tls_cert_file = tls.pem
client_tls_key_file = tls.pem
"""


@contextmanager
def pgbouncer(server_url: str, tls: bytes = b"") -> Iterator[str]:
    """The URL of a PgBouncer in front of all databases of that server. `tls`: its key and certificate."""
    if PROGRAM is None:
        raise RuntimeError(MISSING)
    port = free_port()
    parts = conninfo_to_dict(server_url)
    server = {key: value for key, value in parts.items() if key in ("host", "port", "user", "password")}
    folder = Path(tempfile.mkdtemp(prefix="auth-pgbouncer-"))
    settings = SETTINGS.format(server=_quoted(server), port=port, more=TLS if tls else "")
    (folder / "pgbouncer.ini").write_text(settings)
    (folder / "tls.pem").write_bytes(tls)
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [PROGRAM, "pgbouncer.ini"], cwd=folder, stdout=log, stderr=log, **unprivileged(folder)
        )
    url = f"postgresql://?{urlencode({**parts, 'host': '127.0.0.1', 'port': port}, quote_via=quote)}"
    try:
        _wait_until_up(url, process, folder / "log")
        yield url
    finally:
        process.terminate()
        process.wait(30)
        shutil.rmtree(folder)


def _quoted(settings: dict[str, Any]) -> str:
    return " ".join(f"{key}='{str(value).replace(chr(39), chr(39) * 2)}'" for key, value in settings.items())


def unprivileged(folder: Path) -> dict[str, Any]:
    """Settings of a process that refuses to run as root: it gets the account that the embedded PostgreSQL has."""
    if os.geteuid() != 0:
        return {}
    account = pwd.getpwnam("nobody")
    os.chown(folder, account.pw_uid, account.pw_gid)
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def _wait_until_up(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(200):
        try:
            psycopg.connect(url).close()
        except psycopg.OperationalError:
            assert process.poll() is None, log.read_text()
            time.sleep(0.05)
        else:
            return
    raise AssertionError(log.read_text())
