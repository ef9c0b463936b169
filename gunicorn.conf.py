"""How gunicorn runs the service. The platform sets PORT and WEB_CONCURRENCY; the rest is decided here."""

import os
import sys

from gunicorn.workers.base import Worker

from auth.config import Misconfigured, from_environment
from auth.current import EXTENSION

try:
    from_environment()
except Misconfigured as problems:
    sys.exit(str(problems))

bind = f"0.0.0.0:{os.environ.get('PORT', '8080')}"
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
worker_class = "gthread"
threads = 24  # twice the logins that may wait for a hash, so that a storm of them leaves room for the rest
loglevel = os.environ.get("LOG_LEVEL", "info").lower()
graceful_timeout = 30  # seconds that requests have to end after SIGTERM
control_socket_disable = True  # it would be a file in somebody's home


def post_worker_init(worker: Worker) -> None:
    """Connect to the database, with a connection for each thread: in the worker, so after the fork."""
    worker.wsgi.extensions[EXTENSION].db.open(size=worker.cfg.threads)
