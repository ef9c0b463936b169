"""The record of a request: one line of JSON on standard output, and the metrics."""

import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import msgspec

from auth.http.request import Request
from auth.http.responses import Response
from auth.ops import log, metrics


def log_request(request: Request, response: Response) -> None:
    seconds = time.perf_counter() - request.started
    rpc = request.endpoint.rpartition(".")[2].replace(":", ".") if request.endpoint else None
    event = _security_event(request, response.status)
    with suppress(OSError, TypeError):  # raised by prometheus_client after a clean-up has removed its files
        metrics.count(request, rpc or "none", response.status, seconds, event)
    level = "WARNING" if response.status >= 500 or event.get("event") == "lockout" else "INFO"
    if level in request.config.log_levels:
        line = {
            "time": datetime.now(UTC),
            "level": level,
            **request.record,
            "rpc": rpc,
            "method": request.method,
            "status": response.status,
            "durationMs": round(seconds * 1000, 3),
            "client": request.client_address,
            **event,
        }
        if request.exception is not None:
            line["exception"] = log.traceback_without_messages(request.exception)
        if not log.write(line, msgspec.json.encode):
            metrics.LINES_DROPPED.inc()


def _security_event(request: Request, status: int) -> dict[str, Any]:
    if request.event is None:
        return {}
    outcome = request.record["errorCode"] or ("success" if status < 400 else str(status))
    event = "lockout" if outcome == "TOO_MANY_ATTEMPTS" else request.event
    return {"event": event, "outcome": outcome, **request.details}
