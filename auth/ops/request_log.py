"""The record of a request: one line of JSON on standard output, and the metrics."""

import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import msgspec

from auth.http.request import Record, Request, current_request
from auth.http.responses import Response
from auth.ops import log, metrics


def log_request(response: Response) -> Response:
    """Count the request, and write its line where LOG_LEVEL asks for it."""
    request, status = current_request(), response.status_code
    record, seconds = request.record, time.perf_counter() - request.record.started
    rpc = None if request.method == "OPTIONS" or not request.endpoint else request.endpoint.rpartition(".")[2]
    event = _security_event(record, status)
    with suppress(OSError, TypeError):  # raised by prometheus_client after a clean-up has removed its files
        metrics.count(record, rpc or "none", status, seconds, event)
    level = "WARNING" if status >= 500 or event.get("event") == "lockout" else "INFO"
    if level in request.config.log_levels:
        line = {"time": datetime.now(UTC), "level": level, **_fields(request, status, rpc, seconds), **event}
        if not log.write(line, msgspec.json.encode):
            metrics.LINES_DROPPED.inc()
    return response


def _fields(request: Request, status: int, rpc: str | None, seconds: float) -> dict[str, Any]:
    record = request.record
    fields = {
        "requestId": record.request_id,
        "rpc": rpc,
        "method": request.method,
        "status": status,
        "errorCode": record.error_code,
        "durationMs": round(seconds * 1000, 3),
        "principal": record.principal,
        "session": record.session,
        "extendedByChain": record.chain,
        "client": request.client_address,
    }
    if record.cause is not None:
        fields["cause"] = record.cause
    if record.exception is not None:
        fields["exception"] = log.traceback_without_messages(record.exception)
    return fields


def _security_event(record: Record, status: int) -> dict[str, Any]:
    if record.event is None:
        return {}
    outcome = record.error_code or ("success" if status < 400 else str(status))
    event = "lockout" if outcome == "TOO_MANY_ATTEMPTS" else record.event
    return {"event": event, "outcome": outcome, **record.details}
