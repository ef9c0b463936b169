"""What log lines look like: JSON, one object a line, on standard output; gunicorn's own too."""

import logging
import traceback
from typing import Any

from flask import g, has_request_context
from gunicorn import glogging
from pythonjsonlogger.msgspec import MsgspecFormatter


class Lines(MsgspecFormatter):
    """JSON lines. Of an exception they tell its kind and place: its message may hold what somebody sent."""

    def __init__(self) -> None:
        names = {"levelname": "level", "name": "logger"}
        super().__init__(["levelname", "name", "message"], rename_fields=names, timestamp="time")

    def formatException(self, ei: Any) -> str:  # noqa: N802
        told: dict[int, str] = {}
        error = ei[1]
        while error is not None and id(error) not in told:
            told[id(error)] = "".join(traceback.format_tb(error.__traceback__)) + type(error).__qualname__
            error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        return "\nwhile handling this:\n".join(told.values())


class OfRequest(logging.Filter):
    """Adds the id of the request that a line belongs to."""

    def filter(self, record: logging.LogRecord) -> bool:
        if has_request_context() and "request_id" in g:
            record.requestId = g.request_id
        return True


class Logger(glogging.Logger):  # type: ignore[misc]
    """gunicorn's own lines, without its access log: that would tell the query, and a jti with it."""

    def access(self, *_: object) -> None:
        pass


def configuration(level: str) -> dict[str, Any]:
    """What `logging.config.dictConfig` takes, for lines from that level on. Libraries do not get to say what they do
    for debugging: gunicorn quotes what it read.
    """
    level = "INFO" if level == "debug" else level.upper()
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"lines": {"()": Lines}},
        "filters": {"request": {"()": OfRequest}},
        "handlers": {
            "out": {
                "class": "logging.StreamHandler",
                "stream": "ext://sys.stdout",
                "formatter": "lines",
                "filters": ["request"],
            }
        },
        "root": {"level": level, "handlers": ["out"]},
        "loggers": {"gunicorn.error": {"level": level, "handlers": [], "propagate": True}},
    }
