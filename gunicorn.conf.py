"""How gunicorn runs the service. The platform sets PORT and WEB_CONCURRENCY; the rest is decided here."""

import os
import queue
import signal
import sys
from contextlib import suppress

from gunicorn.arbiter import Arbiter
from gunicorn.workers.base import Worker

from auth import metrics_folder
from auth.config import Misconfigured, from_environment
from auth.db import CONNECTIONS
from auth.log import configuration
from auth.passwords import WAITING, share_cores

try:
    from_environment()
except Misconfigured as problems:
    sys.exit(str(problems))

bind = f"0.0.0.0:{os.environ.get('PORT') or '8080'}"
workers = int(os.environ.get("WEB_CONCURRENCY") or "2")
worker_class = "auth.worker.Worker"
threads = WAITING + CONNECTIONS  # a storm of logins leaves these for the other calls
loglevel = (os.environ.get("LOG_LEVEL") or "info").lower()
logger_class = "auth.log.Logger"
logconfig_dict = configuration(loglevel)
graceful_timeout = 30  # seconds that requests have to end after SIGTERM
control_socket_disable = True  # it would be a file in somebody's home


def post_fork(master: Arbiter, worker: Worker) -> None:
    """Hear SIGTERM from the fork on; what came before is in the worker's copy of the master's queue. Otherwise a stop
    within a moment of the start would take all of `graceful_timeout`.
    """
    metrics_folder.reserve(os.getpid())
    signal.signal(signal.SIGTERM, lambda *_: setattr(worker, "alive", False))
    with suppress(queue.Empty):
        while worker.alive:
            worker.alive = master.SIG_QUEUE.get_nowait() != signal.SIGTERM


def post_worker_init(worker: Worker) -> None:
    share_cores(worker.cfg.workers)


def child_exit(_: Arbiter, worker: Worker) -> None:
    metrics_folder.forget_process(worker.pid)
