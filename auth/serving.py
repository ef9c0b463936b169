"""What a worker process does before its first request and after its last."""

import logging

from flask import Flask, g, has_request_context

from .current import EXTENSION
from .db import CONNECTIONS
from .passwords import share_cores


class OfRequest(logging.Filter):
    """Adds the id of the request that a line belongs to."""

    def filter(self, record: logging.LogRecord) -> bool:
        if has_request_context() and "request_id" in g:
            record.requestId = g.request_id
        return True


def begin(app: Flask, processes: int, threads: int) -> None:
    """Prepare this worker, one of that many processes, to serve with that many threads.

    After the fork, since connections to the database do not survive one.
    """
    for handler in logging.getLogger().handlers:
        handler.addFilter(OfRequest())
    share_cores(processes)
    app.extensions[EXTENSION].db.open(size=min(CONNECTIONS, threads))


def end(app: Flask) -> None:
    """Close the database's connections. When Python ends, it is too late: their threads no longer run."""
    app.extensions[EXTENSION].db.close()
