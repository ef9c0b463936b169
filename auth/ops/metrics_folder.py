"""The folder of the metrics. A worker's files are named by its slot, and its successor goes on counting in them.

Imported by gunicorn's master: see gunicorn.conf.py.
"""

import os
from contextlib import suppress
from typing import Final

BYTES: Final = 65536  # the size of prometheus_client's new files; ours need no more


def use(folder: str, slot: int) -> None:
    """Let this worker process store its metrics in the folder. Called before `auth.ops.metrics` is imported."""
    with suppress(OSError):  # on a full disk it counts in memory, since writing to a mapped file would kill it
        os.makedirs(folder, 0o700, exist_ok=True)  # a clean-up may have removed it
        for kind in ("counter", "histogram"):
            with open(f"{folder}/{kind}_{slot}.db", "ab") as file:
                os.posix_fallocate(file.fileno(), 0, BYTES)
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
        from prometheus_client import values

        values.ValueClass = values.MultiProcessValue(lambda: slot)  # type: ignore[no-untyped-call]
