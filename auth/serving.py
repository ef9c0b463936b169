"""What a worker process does before its first request."""

import logging

from flask import g, has_request_context

from .passwords import share_cores


class OfRequest(logging.Filter):
    """Adds the id of the request that a line belongs to."""

    def filter(self, record: logging.LogRecord) -> bool:
        if has_request_context() and "request_id" in g:
            record.requestId = g.request_id
        return True


def begin(processes: int) -> None:
    """Prepare this worker, one of that many processes, to serve."""
    for handler in logging.getLogger().handlers:
        handler.addFilter(OfRequest())
    share_cores(processes)
