"""gunicorn's log lines, in JSON on standard output. Imported by gunicorn's master: see gunicorn.conf.py."""

import json
import logging
import traceback
from datetime import UTC, datetime
from typing import Any

from gunicorn import glogging


class Lines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["exc_info"] = traceback_without_messages(record.exc_info[1])
        return json.dumps(line)


class Logger(glogging.Logger):  # type: ignore[misc]
    def access(self, *_: object) -> None:
        """Logs nothing: gunicorn would show the query, and so a jti."""


def traceback_without_messages(error: BaseException | None) -> str:
    """The types and tracebacks of an exception and of its causes, without their messages, which may quote a request."""
    parts: dict[int, str] = {}
    while error is not None and id(error) not in parts:
        parts[id(error)] = "".join(traceback.format_tb(error.__traceback__)) + type(error).__qualname__
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "\nwhile handling this:\n".join(parts.values())


def configuration(level: str) -> dict[str, Any]:
    """For `logging.config.dictConfig`: lines of gunicorn of that level and above, and errors of libraries."""
    level = "INFO" if level == "debug" else level.upper()  # gunicorn's debug lines quote what it read
    return {
        "formatters": {"lines": {"()": Lines}},
        "handlers": {"out": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout", "formatter": "lines"}},
        "root": {"level": "ERROR", "handlers": ["out"]},
        "loggers": {"gunicorn.error": {"level": level, "handlers": [], "propagate": True}},
    }
