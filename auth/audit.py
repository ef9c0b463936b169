"""What is written down of a request: a log line, a second one where it is a security event, and the metrics."""

import logging
import re
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from flask import Flask, Response, g, request

from . import metrics
from .clients import client_address

Event = Literal["login", "refresh", "logout", "one-time token", "claim", "extension", "revocation"]

REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._=+/:-]{1,128}", re.ASCII)

_requests = logging.getLogger("auth.request")
_events = logging.getLogger("auth.audit")


@dataclass
class Record:
    """What is known of the current request so far."""

    started: float
    event: Event | None = None
    principal: str | None = None
    session: str | None = None
    chain: Sequence[str] = ()
    error_code: str | None = None
    details: dict[str, Any] = field(default_factory=dict)


def who(principal: str | None, session: object | None = None, chain: Sequence[str] = ()) -> None:
    """Remember for whom the current request acts, and through whom."""
    found = record()
    found.principal, found.chain = principal, chain
    found.session = None if session is None else str(session)


def details(**known: Any) -> None:
    """Remember what else the audit line is to tell; never a token, a password or a jti."""
    record().details |= known


def record() -> Record:
    """The current request's record."""
    found: Record = g.record
    return found


def write_down(app: Flask) -> None:
    """Give every request an id, and write it down when it is answered."""

    @app.before_request
    def start() -> None:
        given = request.headers.get("X-Request-Id", "")
        g.request_id = given if REQUEST_ID.fullmatch(given) else str(uuid.uuid4())
        g.record = Record(time.perf_counter())

    @app.after_request
    def finish(response: Response) -> Response:
        response.headers["X-Request-Id"] = g.request_id
        try:
            _write(record(), response.status_code)
        except Exception:  # a full disk, say, must not make a failure of what was done
            _requests.exception("cannot write a request down")
        return response


def _write(found: Record, status: int) -> None:
    seconds = time.perf_counter() - found.started
    name = None if request.method == "OPTIONS" or not request.endpoint else request.endpoint.rpartition(".")[2]
    metrics.REQUESTS.labels(name or "none", status).inc()
    metrics.LATENCY.labels(name or "none").observe(seconds)
    acting = {"principal": found.principal, "session": found.session, "extendedByChain": list(found.chain)}
    _requests.log(
        logging.WARNING if status >= 500 else logging.INFO,
        "request",
        extra={
            "rpc": name,
            "method": request.method,
            "status": status,
            "errorCode": found.error_code,
            "durationMs": round(seconds * 1000, 3),
            **acting,
        },
    )
    if found.event is not None:
        _write_event(found, status, acting)


def _write_event(found: Record, status: int, acting: dict[str, Any]) -> None:
    outcome = found.error_code or ("success" if status < 400 else str(status))
    event = "lockout" if outcome == "TOO_MANY_ATTEMPTS" else found.event
    metrics.EVENTS.labels(event, outcome).inc()
    metrics.REVOKED.inc(found.details.get("revoked", 0))
    extra = {"event": event, "outcome": outcome, "client": client_address(), **acting, **found.details}
    _events.log(logging.WARNING if event == "lockout" else logging.INFO, "security event", extra=extra)
