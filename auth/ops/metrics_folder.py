"""The folder where the worker processes of a service count. Imported by gunicorn's master: see gunicorn.conf.py.

The files of a worker are named by its slot, and not by its process: the worker that replaces it goes on counting there.
"""

import fcntl
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

MEMORY: Final = Path("/dev/shm")  # noqa: S108 - preferred where it exists: other programs clean up and fill /tmp
NAME: Final = "authentication-metrics-"  # not as in 1.0.0, which locks its folders in another way
BYTES: Final = 65536  # the size of prometheus_client's new files; ours need no more


def make() -> Path:
    """A new folder, locked while a process of this service lives. Folders of killed services are removed."""
    parent = MEMORY if os.access(MEMORY, os.W_OK) else Path(tempfile.gettempdir())
    for left in parent.glob(f"{NAME}*"):
        with suppress(OSError):
            lock = _lock(left)
            shutil.rmtree(left)
            os.close(lock)
    made = Path(tempfile.mkdtemp(prefix=f"new-{NAME}", dir=parent))
    _lock(made)  # before it has a name that another service looks for
    return made.rename(parent / made.name.removeprefix("new-"))


def use(folder: Path, slot: int) -> None:
    """Let this worker process count in the folder. Called before our metrics are imported."""
    with suppress(OSError):  # on a full disk it counts in memory, since writing to a mapped file would kill it
        folder.mkdir(0o700, exist_ok=True)  # a clean-up may have removed it
        for kind in ("counter", "histogram"):
            with (folder / f"{kind}_{slot}.db").open("ab") as file:
                os.posix_fallocate(file.fileno(), 0, BYTES)
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)
        from prometheus_client import values

        values.ValueClass = values.MultiProcessValue(lambda: slot)  # type: ignore[no-untyped-call]


def _lock(folder: Path) -> int:
    """The descriptor that holds the lock. Raises OSError where a process of another service has it."""
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise
    return lock
