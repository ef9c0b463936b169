"""The record of a request: one line of JSON on standard output, and the metrics."""

import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import msgspec

from auth.http.request import Request, current_request
from auth.http.responses import Response
from auth.ops import log, metrics


def log_request(response: Response) -> Response:
    """Count the request, and write its line where LOG_LEVEL asks for it."""
    request, status = current_request(), response.status_code
    seconds = time.perf_counter() - request.started
    endpoint = "" if request.method == "OPTIONS" else request.endpoint or ""
    rpc = endpoint.rpartition(".")[2].replace(":", ".") or None
    event = _security_event(request, status)
    with suppress(OSError, TypeError):  # raised by prometheus_client after a clean-up has removed its files
        metrics.count(request, rpc or "none", status, seconds, event)
    level = "WARNING" if status >= 500 or event.get("event") == "lockout" else "INFO"
    if level in request.config.log_levels:
        line = {"time": datetime.now(UTC), "level": level, **_fields(request, status, rpc, seconds), **event}
        if not log.write(line, msgspec.json.encode):
            metrics.LINES_DROPPED.inc()
    return response


def _fields(request: Request, status: int, rpc: str | None, seconds: float) -> dict[str, Any]:
    fields = {
        **msgspec.to_builtins(request.record),
        "rpc": rpc,
        "method": request.method,
        "status": status,
        "durationMs": round(seconds * 1000, 3),
        "client": request.client_address,
    }
    if request.exception is not None:
        fields["exception"] = log.traceback_without_messages(request.exception)
    return fields


def _security_event(request: Request, status: int) -> dict[str, Any]:
    if request.event is None:
        return {}
    outcome = request.record.error_code or ("success" if status < 400 else str(status))
    event = "lockout" if outcome == "TOO_MANY_ATTEMPTS" else request.event
    return {"event": event, "outcome": outcome, **request.details}
