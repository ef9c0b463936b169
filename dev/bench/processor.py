"""The processor time of each call in one process, as a multiple of an empty Flask route's in the same process.

    .venv/bin/python -m dev.bench.processor

It is steadier than rates are, and PostgreSQL, which runs in processes of its own, is not counted. The calls are those
of `make bench` with what gunicorn would pass on; access tokens are ones that the service has verified before.
"""

import io
import json
import os
import statistics
import sys
import time
from contextlib import closing
from typing import Any, Final

from gunicorn.app.wsgiapp import WSGIApplication
from gunicorn.http import wsgi
from gunicorn.http.parser import RequestParser

from . import empty
from .calls import Work, bearer, calls, empty_route, filled, request
from .rows import ROWS, fill
from .service import database, environment, postgres

ROUNDS: Final = 20
CALLS: Final = 100  # of each kind in each round
PEER: Final = ("127.0.0.1", 50_000)


class Process:
    """The service and the empty app in this process, with the settings of gunicorn.conf.py. Logs go nowhere."""

    def __init__(self) -> None:
        sys.argv = ["gunicorn", "app:app"]
        gunicorn = WSGIApplication()
        self._cfg = gunicorn.cfg
        self._cfg.logger_class(self._cfg)
        self._service = gunicorn.load()

    def exchange(self, refresh_token: str) -> str:
        """The access token that the service mints for the refresh token."""
        answer = self._call(self._service, self._environ(request("POST", "/auth/refresh", bearer(refresh_token))))
        return str(json.loads(answer)["accessToken"])

    def microseconds(self, work: Work, count: int) -> float:
        """Of processor, for a call. Raises `RuntimeError` for a wrong answer."""
        app = empty.app if work.name == empty_route().name else self._service
        chosen = [work.requests[number * 7919 % len(work.requests)] for number in range(count)]
        environs = [self._environ(filled(template, work.rows)) for template in chosen]
        started = time.process_time()
        answers = [self._call(app, environ) for environ in environs]
        seconds = time.process_time() - started
        if not all(work.answer in answer for answer in answers):
            raise RuntimeError(f"{work.name}: {answers[0][:300]!r}")
        return seconds / count * 1e6

    def _environ(self, raw: bytes) -> dict[str, Any]:
        message = next(RequestParser(self._cfg, iter([raw]), PEER))
        _, environ = wsgi.create(message, None, PEER, ("127.0.0.1", "8080"), self._cfg)
        environ["wsgi.input"] = io.BytesIO(raw.partition(b"\r\n\r\n")[2])
        return dict(environ)

    def _call(self, app: Any, environ: dict[str, Any]) -> bytes:
        with closing(app(environ, lambda status, headers, error=None: None)) as answer:
            return b"".join(answer)


def measured() -> dict[str, tuple[float, float]]:
    """By call, the median and the lowest of its microseconds in the interleaved rounds."""
    process = Process()
    works = [empty_route(), *calls(process.exchange).values()]
    rounds = [[process.microseconds(work, CALLS) for work in works] for _ in range(ROUNDS)]
    return {work.name: (statistics.median(times), min(times)) for work, *times in zip(works, *rounds, strict=True)}


def main() -> None:
    out = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    with postgres("fsync=off") as server_url, database(server_url, "processor") as url:
        os.environ |= environment(url)
        fill(url, ROWS)
        results = measured()
    print("| in one process | µs, median | of the empty route | µs, lowest | of the empty route |", file=out)
    print("|---|--:|--:|--:|--:|", file=out)
    bases = results["an empty Flask route"]
    for name, times in results.items():
        ratios = [time / base for time, base in zip(times, bases, strict=True)]
        print(f"| {name} | {times[0]:.0f} | {ratios[0]:.1f} | {times[1]:.0f} | {ratios[1]:.1f} |", file=out, flush=True)


if __name__ == "__main__":
    main()
