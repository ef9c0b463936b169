"""Where worker processes keep their metrics. Whoever serves imports this first: prometheus_client asks for the folder
when it is imported, and never again. A new one each time, since numbers of another run would be added to ours.
"""

import atexit
import fcntl
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import IO, Final

MEMORY: Final = Path("/dev/shm")  # noqa: S108 - where it exists: nothing cleans it up or fills it as it does /tmp
BYTES: Final = 65536  # that prometheus_client starts a file with; ours never outgrow it
FILES: Final = ("counter", "histogram", "gauge_livesum")
NAME: Final = "auth-metrics-"


def reserve(pid: int) -> None:
    """Have room for what a worker will count: on a full disk it would be killed in the middle of a request."""
    with suppress(OSError):
        FOLDER.mkdir(0o700, exist_ok=True)
        for kind in FILES:
            with (FOLDER / f"{kind}_{pid}.db").open("ab") as file:
                os.posix_fallocate(file.fileno(), 0, BYTES)


def forget_process(pid: int) -> None:
    """What a worker that is gone has counted stays; what it was just doing does not."""
    from prometheus_client.multiprocess import mark_process_dead

    mark_process_dead(pid)  # type: ignore[no-untyped-call]


def _parent() -> Path:
    return MEMORY if os.access(MEMORY, os.W_OK) else Path(tempfile.gettempdir())


def _lock(folder: Path) -> IO[bytes] | None:
    """The folder's lock, held for as long as a process of its run lives, or None where somebody has it."""
    file = (folder / "lock").open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return None
    return file


def _remove_what_was_left() -> None:
    """Of runs that were killed."""
    for folder in _parent().glob(f"{NAME}*"):
        with suppress(OSError):
            if (folder / "lock").exists() and (lock := _lock(folder)):
                shutil.rmtree(folder)
                lock.close()


def _remove(maker: int) -> None:
    if os.getpid() == maker:  # and not a worker that it forked
        shutil.rmtree(FOLDER, ignore_errors=True)


_remove_what_was_left()
FOLDER: Final = Path(tempfile.mkdtemp(prefix=NAME, dir=_parent()))
LOCK: Final = _lock(FOLDER)
os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(FOLDER)
atexit.register(_remove, os.getpid())
