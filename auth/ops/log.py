"""JSON lines on standard output, without waiting for it. Imported by gunicorn's master: see gunicorn.conf.py."""

import json
import logging
import os
import stat
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import cache
from io import FileIO
from typing import Any, Final

from gunicorn import glogging

LINE_BYTES: Final = 4096  # PIPE_BUF of Linux: a pipe accepts a write of this size whole or not at all, see pipe(7)
FRAMES: Final = 8  # an exception's innermost frames


def write(line: dict[str, Any], encode: Callable[[Any], bytes]) -> bool:
    """Write the line as JSON of at most `LINE_BYTES`. Returns False if it cannot be written at once.

    If the line is too long, the ends of its longest texts and lists are cut; a field `…InAll` has the full length.
    """
    encoded = encode(line)
    while len(encoded) >= LINE_BYTES:
        name = max(line, key=lambda name: len(encode(line[name])))
        line.setdefault(f"{name}InAll", len(line[name]))
        line[name] = line[name][: len(line[name]) // 2]
        encoded = encode(line)
    try:
        return _standard_output().write(encoded + b"\n") == len(encoded) + 1
    except OSError:
        return False


@cache
def _standard_output() -> FileIO:
    if sys.stdout is None:  # closed, so descriptor 1 may be a connection
        return FileIO(os.devnull, "w")
    kind = os.fstat(1).st_mode
    with suppress(OSError):  # opened again, since other processes that share it must not get O_NONBLOCK
        if stat.S_ISFIFO(kind):
            return FileIO("/dev/stdout", "w", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK))
    if stat.S_ISFIFO(kind) or stat.S_ISSOCK(kind):
        os.set_blocking(1, False)
    return FileIO(1, "w", closefd=False)


class Lines(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        time = datetime.fromtimestamp(record.created, UTC).isoformat()
        line = {"time": time, "level": record.levelname, "logger": record.name, "message": record.getMessage()}
        if record.exc_info:
            line["exc_info"] = traceback_without_messages(record.exc_info[1])
        write(line, lambda value: json.dumps(value).encode())


class Logger(glogging.Logger):  # type: ignore[misc]
    def access(self, *_: object) -> None:
        """Logs nothing: gunicorn would show the query, and so a jti."""


def traceback_without_messages(error: BaseException | None) -> str:
    """The types and frames of an exception and of its causes, without their messages, which may quote a request."""
    parts: dict[int, str] = {}
    while error is not None and id(error) not in parts:
        frames = traceback.format_tb(error.__traceback__, -FRAMES)
        parts[id(error)] = "".join((type(error).__qualname__, "\n", *frames))
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "while handling this:\n".join(parts.values())


def configuration(level: str) -> dict[str, Any]:
    """For `logging.config.dictConfig`: lines of gunicorn of that level and above, and errors of libraries."""
    level = "INFO" if level == "debug" else level.upper()  # gunicorn's debug lines quote what it read
    return {
        "handlers": {"out": {"()": Lines}},
        "root": {"level": "ERROR", "handlers": ["out"]},
        "loggers": {"gunicorn.error": {"level": level, "handlers": [], "propagate": True}},
    }
