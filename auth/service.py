"""The way of a request: route, view, log, response."""

import time
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from wsgiref.types import StartResponse

import msgspec
from flask import Flask
from werkzeug.exceptions import MethodNotAllowed, NotFound

from auth.core import errors
from auth.http.request import Request
from auth.http.responses import HTML, Response, error_response
from auth.ops import log, metrics


class Service(Flask):
    """Uses Flask's blueprints and URL map. A request gets no Flask context and no hook: see docs/architecture.md."""

    def __init__(self, name: str, requests: type[Request]) -> None:
        super().__init__(name, static_folder=None)
        self.requests = requests
        self.config["PROVIDE_AUTOMATIC_OPTIONS"] = False  # `_answer` answers OPTIONS
        self.url_map.merge_slashes = False  # `//auth/login` is not found: no redirect
        self._match = lru_cache(256)(self.url_map.bind("").match)

    def wsgi_app(self, environ: dict[str, Any], start_response: StartResponse) -> list[bytes]:
        request = self.requests(environ)
        try:
            response: Response = self._answer(request)
        except Exception as error:
            response = error_response(request, error)
        _record(request, response)
        return response(environ, start_response)

    def _answer(self, request: Request) -> Any:
        try:
            request.endpoint, variables = self._match(request.path, request.method)
        except NotFound:
            raise errors.NotFound from None
        except MethodNotAllowed as refusal:
            allow = ", ".join(sorted({*(refusal.valid_methods or ()), "OPTIONS"}))
            if request.method == "OPTIONS":
                return Response(b"", {**HTML, "Allow": allow})
            raise errors.MethodNotAllowed(headers={"Allow": allow}) from None
        return self.view_functions[request.endpoint](request, **variables)


def _record(request: Request, response: Response) -> None:
    """Write the log line of the request, and count the request in the metrics."""
    seconds = time.perf_counter() - request.started
    rpc = request.endpoint.rpartition(".")[2].replace(":", ".") if request.endpoint else None
    event: dict[str, Any] = {}
    if request.event is not None:  # a security event
        outcome = request.record["errorCode"] or ("success" if response.status < 400 else str(response.status))
        name = "lockout" if outcome == "TOO_MANY_ATTEMPTS" else request.event
        event = {"event": name, "outcome": outcome, **request.details}
    try:  # noqa: SIM105 - contextlib.suppress costs 1 % of a refresh
        metrics.count(request, rpc or "none", response.status, seconds, event)
    except (OSError, TypeError):  # raised by prometheus_client after a clean-up has removed its files
        pass
    level = "WARNING" if response.status >= 500 or event.get("event") == "lockout" else "INFO"
    if level in request.config.log_levels:
        line = {"time": datetime.now(UTC), "level": level, **request.record, "rpc": rpc, "method": request.method}
        line |= {"status": response.status, "durationMs": round(seconds * 1000, 3), "client": request.client_address}
        line |= event
        if request.exception is not None:
            line["exception"] = log.traceback_without_messages(request.exception)
        if not log.write(line, msgspec.json.encode):
            metrics.LINES_DROPPED.inc()
