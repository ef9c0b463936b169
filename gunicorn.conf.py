"""How gunicorn runs the service.

gunicorn's master keeps the modules that are imported here, and would use old code after HUP. So they import nothing
else of ours, and are removed from sys.modules each time this file is read.
"""

import os
import queue
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

for name in [name for name in sys.modules if name.partition(".")[0] == "auth"]:
    del sys.modules[name]

from auth import DEFAULTS, VARIABLES, text_of  # noqa: E402
from auth.ops.log import configuration  # noqa: E402

# Check the configuration in another process, since this one must not import the service. It prints the mistakes.
if subprocess.run([sys.executable, "-c", "from app import app"], cwd=Path(__file__).parent, check=False).returncode:
    sys.exit(1)


def addresses(port: str) -> list[str]:
    """All addresses of the machine. A socket for IPv6 also accepts IPv4, unless the system sets bindv6only."""
    with suppress(OSError), socket.socket(socket.AF_INET6) as probe:
        probe.bind(("::", 0))
        alone = probe.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
        return [f"[::]:{port}", f"0.0.0.0:{port}"] if alone else [f"[::]:{port}"]
    return [f"0.0.0.0:{port}"]


variables = DEFAULTS | {name: text for name in VARIABLES if (text := text_of(os.environ, name))}
bind = addresses(variables["PORT"])
workers = int(variables["WEB_CONCURRENCY"])
worker_class = "auth.ops.worker.Worker"
threads = 112  # 36 logins that wait for a hash, 12 database connections, 64 slow clients
worker_connections = min(1000, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 128)  # others wait in the kernel
limit_request_field_size = 32 * 1024  # bytes of a header line: the longest token that the service makes fits
keepalive = 95  # seconds that a connection may be idle; Heroku's router closes it first, after 90
forwarder_headers = ""  # a SCRIPT_NAME header would change the path after the proxy has checked it
secure_scheme_headers: dict[str, str] = {}  # such as X-Forwarded-Proto: contradictory ones would be 400
loglevel = variables["LOG_LEVEL"].lower()
http_parser = "python"  # auth.ops.parser changes this one
logger_class = "auth.ops.log.Logger"
logconfig_dict = configuration(loglevel)
control_socket_disable = True  # it would be a file in the home folder
# Also for gunicorn's own files. Not /tmp, which other programs clean up and fill; it is used if this is not writable.
os.environ.setdefault("TMPDIR", "/dev/shm")  # noqa: S108


def on_starting(master: Any) -> None:
    master.metrics = tempfile.mkdtemp(prefix="metrics-of-auth-")
    reload = master.reload

    def reload_or_keep_workers() -> None:
        """Keep the old workers when the new code or configuration has a mistake."""
        try:
            reload()
        except SystemExit:
            if os.getpid() != master.pid:  # a worker that was forked during the reload must end
                raise
            master.log.error("not reloaded: the old workers keep running")

    master.reload = reload_or_keep_workers


def pre_fork(master: Any, worker: Any) -> None:
    """Give the worker the lowest free slot. The slot names its metrics files, so a crash adds no new files."""
    taken = {other.slot for other in master.WORKERS.values()}
    worker.slot = min({*range(len(taken) + 1)} - taken)


def post_fork(master: Any, worker: Any) -> None:
    """Use the master's variables and the metrics files of the slot. Stop at SIGTERM, even if it came earlier."""
    for name in VARIABLES:  # a file may have changed, and all workers must have the same values
        os.environ.pop(f"{name}_FILE", None)
    os.environ.update(variables)
    with suppress(OSError):  # on a full disk the worker counts in memory, since a write to a mapped file would kill it
        os.makedirs(master.metrics, 0o700, exist_ok=True)  # a clean-up may have removed it
        for kind in ("counter", "histogram"):
            with open(f"{master.metrics}/{kind}_{worker.slot}.db", "ab") as file:
                os.posix_fallocate(file.fileno(), 0, 65536)  # the initial size of prometheus_client, which is enough
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = master.metrics
        from prometheus_client import values  # in the worker's process, before `auth.ops.metrics` is imported

        values.ValueClass = values.MultiProcessValue(lambda: worker.slot)  # type: ignore[no-untyped-call]
    # Without this handler, a stop before gunicorn sets its own would take `graceful_timeout`.
    signal.signal(signal.SIGTERM, lambda *_: setattr(worker, "alive", False))
    with suppress(queue.Empty):  # the worker's copy of the master's queue
        while worker.alive:
            worker.alive = master.SIG_QUEUE.get_nowait() != signal.SIGTERM


def post_worker_init(worker: Any) -> None:
    from auth.core import passwords  # in the worker's process

    passwords.prepare(worker.cfg.workers)


def on_exit(master: Any) -> None:
    shutil.rmtree(master.metrics, ignore_errors=True)
