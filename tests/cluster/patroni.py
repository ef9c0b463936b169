"""PostgreSQL servers that Patroni keeps as one primary and its standbys."""

import json
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.request import Request, urlopen

import psutil
import psycopg

from ..support.pgbouncer import unprivileged
from ..support.servers import free_port

Result = TypeVar("Result")

POSTGRES: Final = Path("/usr/lib/postgresql/15/bin")
SETTINGS: Final = {
    "ttl": 8,
    "loop_wait": 1,
    "retry_timeout": 3,
    "synchronous_mode": True,
    "synchronous_mode_strict": True,  # a commit that was acknowledged is on two servers, also just after a failover
    "postgresql": {"use_pg_rewind": True},
}
CONFIGURATION: Final = """
scope: auth
name: {name}
etcd: {{host: "127.0.0.1:{etcd}"}} # with etcd3, Patroni 3.0.2 takes the lock from its new owner
restapi: {{listen: "127.0.0.1:{rest}", connect_address: "127.0.0.1:{rest}"}}
bootstrap:
  dcs: {settings}
  initdb: [{{auth: trust}}, {{encoding: UTF8}}, data-checksums]
postgresql:
  listen: 127.0.0.1:{port}
  connect_address: 127.0.0.1:{port}
  data_dir: {folder}/data
  bin_dir: {programs}
  pgpass: {folder}/pgpass
  authentication: {{superuser: {{username: postgres}}, replication: {{username: standby}}}}
  parameters:
    unix_socket_directories: ""
    fsync: off # no machine loses its power here
    wal_retrieve_retry_interval: 500ms # otherwise, the next standby follows a new primary after 5 s
    authentication_timeout: 5s # otherwise, a server that was frozen may wait 60 s for a silent client before it stops
  pg_hba: ["host all all 127.0.0.1/32 trust", "host replication all 127.0.0.1/32 trust"]
watchdog: {{mode: "off"}}
"""


def start(folder: Path, *command: str | Path) -> subprocess.Popen[bytes]:
    """Start the program in that folder, as an unprivileged user; its output goes to a file there."""
    with (folder / f"{Path(command[0]).name}.log").open("ab") as log:
        return subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, **unprivileged(folder))


def wait_for(what: str, condition: Callable[[], Result | None], seconds: float = 60) -> Result:
    """The first true value of the condition, tried every 50 ms."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with suppress(OSError, psycopg.Error):  # from a server that does not answer
            if result := condition():
                return result
        time.sleep(0.05)
    raise AssertionError(f"{what}: not within {seconds} s")


class Member:
    """One PostgreSQL with its Patroni, which serves `/primary` and others on `rest_port`."""

    def __init__(self, folder: Path, etcd_port: int) -> None:
        folder.mkdir()
        self.name, self.port, self.rest_port = folder.name, free_port(), free_port()
        self._folder = folder
        values = {"name": self.name, "folder": folder, "programs": POSTGRES, "settings": json.dumps(SETTINGS)}
        ports = {"port": self.port, "rest": self.rest_port, "etcd": etcd_port}
        (folder / "patroni.yml").write_text(CONFIGURATION.format(**values, **ports))

    def start(self) -> None:
        """Start Patroni, which starts PostgreSQL."""
        self._patroni = start(self._folder, "patroni", "patroni.yml")

    def kill(self) -> None:
        """End both at once, as when the machine stops."""
        for process in (psutil.Process(self._patroni.pid), *self.postgres()):
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self._patroni.wait()

    def postgres(self) -> list[psutil.Process]:
        """PostgreSQL's processes."""
        try:
            postmaster = psutil.Process(int((self._folder / "data/postmaster.pid").read_text().split()[0]))
            return [postmaster, *postmaster.children(recursive=True)]
        except (FileNotFoundError, psutil.NoSuchProcess):
            return []

    def execute(self, query: str) -> list[Any]:
        """The query's rows from this server, whatever it is."""
        settings = {"host": "127.0.0.1", "port": self.port, "user": "postgres", "connect_timeout": 2}
        with psycopg.connect(**settings, autocommit=True) as connection:  # type: ignore[arg-type]
            cursor = connection.execute(query)
            return cursor.fetchall() if cursor.description else []

    def freeze(self) -> Callable[[], None]:
        """Stop PostgreSQL's processes, while Patroni runs. The function that is returned lets them go on."""
        frozen = self.postgres()
        for process in frozen:
            process.suspend()

        def resume() -> None:
            for process in frozen:
                with suppress(psutil.NoSuchProcess):
                    process.resume()

        return resume

    def switch_over(self) -> None:
        """Ask Patroni for another primary; it answers when there is one."""
        body = json.dumps({"leader": self.name}).encode()
        urlopen(Request(f"http://127.0.0.1:{self.rest_port}/switchover", body), timeout=60).close()

    def is_primary(self) -> bool:
        """Whether this server accepts writes."""
        try:
            return self.execute("SELECT pg_is_in_recovery()") == [(False,)]
        except psycopg.Error:
            return False
