"""A program: the service of the folder that it runs in, and the empty app, in one process, without a server.

It reads lines of JSON, each the name of a call and a count, makes that many calls, and writes the microseconds of
processor for one. PostgreSQL, which runs in processes of its own, is not counted. The calls are those of `make bench`
with what gunicorn would pass on; access tokens are ones that the service has verified before. Logs go nowhere.
"""

import atexit
import gc
import io
import json
import os
import queue
import sys
import time
from itertools import count, islice
from typing import Any, Final
from unittest.mock import MagicMock

from gunicorn.app.wsgiapp import WSGIApplication
from gunicorn.http import wsgi
from gunicorn.http.parser import RequestParser

from . import empty
from .calls import Work, bearer, calls, empty_route, filled, request
from .rows import SESSIONS_EACH

PEER: Final = ("127.0.0.1", 50_000)
PEOPLE: Final = 200  # few, so that their access tokens are soon verified; each may have a hundred delegations


class Process:
    """The apps with the settings and the hooks of gunicorn.conf.py."""

    def __init__(self) -> None:
        sys.argv = ["gunicorn", "app:app"]
        gunicorn = WSGIApplication()
        self._cfg = gunicorn.cfg
        self._cfg.logger_class(self._cfg)
        master, worker = MagicMock(WORKERS={}, SIG_QUEUE=queue.SimpleQueue()), MagicMock()
        self._cfg.on_starting(master)
        atexit.register(self._cfg.on_exit, master)
        self._cfg.pre_fork(master, worker)
        self._cfg.post_fork(master, worker)
        self._service = gunicorn.load()
        self._turns = count()

    def exchange(self, refresh_token: str) -> str:
        """The access token that the service mints for the refresh token."""
        answer = self._call(self._service, self._environ(request("POST", "/auth/refresh", bearer(refresh_token))))
        return str(json.loads(answer)["accessToken"])

    def microseconds(self, work: Work, number: int) -> float:
        """Of processor, for a call. Raises `RuntimeError` for a wrong answer."""
        app = empty.app if work.name == empty_route().name else self._service
        chosen = [work.requests[turn * 7919 % len(work.requests)] for turn in islice(self._turns, number)]
        environs = [self._environ(filled(template, work.rows)) for template in chosen]
        gc.collect()  # so that collections come at the same calls in each run
        os.getloadavg()  # here callgrind starts a new count, see processor.py
        started = time.process_time()
        answers = [self._call(app, environ) for environ in environs]
        seconds = time.process_time() - started
        os.getloadavg()
        if not all(work.answer in answer for answer in answers):
            raise RuntimeError(f"{work.name}: {answers[0][:300]!r}")
        return seconds / number * 1e6

    def _environ(self, raw: bytes) -> dict[str, Any]:
        message = next(RequestParser(self._cfg, iter([raw]), PEER))
        _, environ = wsgi.create(message, None, PEER, ("127.0.0.1", "8080"), self._cfg)
        environ["wsgi.input"] = io.BytesIO(raw.partition(b"\r\n\r\n")[2])
        return dict(environ)

    def _call(self, app: Any, environ: dict[str, Any]) -> bytes:
        answer = app(environ, lambda status, headers, error=None: None)
        body = b"".join(answer)
        getattr(answer, "close", int)()  # Flask's answers end their context there; a list has no `close`
        return body


def main() -> None:
    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    process = Process()
    works = {work.name: work for work in (empty_route(), *calls(process.exchange, PEOPLE * SESSIONS_EACH).values())}
    for work in works.values():
        process.microseconds(work, PEOPLE)
    gc.freeze()
    print(json.dumps([*works]), file=out)
    for line in sys.stdin:
        name, number = json.loads(line)
        print(process.microseconds(works[name], number), file=out)
