"""Where worker processes keep their metrics. Whoever serves imports this first: prometheus_client asks for the folder
when it is imported, and never again. A new one each time, since numbers of another run would be added to ours.
"""

import atexit
import os
import shutil
import tempfile
from typing import Final

FOLDER: Final = tempfile.mkdtemp(prefix="auth-metrics-")
os.environ["PROMETHEUS_MULTIPROC_DIR"] = FOLDER


def forget_process(pid: int) -> None:
    """What a worker that is gone has counted stays; what it was just doing does not."""
    from prometheus_client.multiprocess import mark_process_dead

    mark_process_dead(pid)  # type: ignore[no-untyped-call]


def _remove(maker: int) -> None:
    if os.getpid() == maker:  # and not a worker that it forked
        shutil.rmtree(FOLDER, ignore_errors=True)


atexit.register(_remove, os.getpid())
