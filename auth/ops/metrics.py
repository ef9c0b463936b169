"""Prometheus metrics, summed over all worker processes, and the route that shows them."""

import os
from functools import cache, partial
from typing import Any, Final

from flask import Blueprint
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from auth.http.request import Request
from auth.http.responses import Response

SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)

blueprint = Blueprint("metrics", __name__)
_registry = CollectorRegistry()  # without prometheus_client's own metrics of the process
_counter = partial(Counter, registry=_registry)
_histogram = partial(Histogram, registry=_registry, buckets=SECONDS)

# Called with the labels, of which there are few sets: the child is looked up once, since that takes long.
REQUESTS: Final = cache(_counter("auth_requests", "Requests answered.", ["rpc", "status"]).labels)
LATENCY: Final = cache(_histogram("auth_request_seconds", "From a request's headers to its answer.", ["rpc"]).labels)
EVENTS: Final = cache(_counter("auth_security_events", "Security events, by outcome.", ["event", "outcome"]).labels)
REVOKED: Final = _counter("auth_refresh_tokens_revoked", "Refresh tokens ended by a call.")
HASH_WAIT: Final = _histogram("auth_hash_wait_seconds", "How long logins wait for a processor.")
DATABASE_ERRORS: Final = _counter("auth_database_errors", "Requests answered DATABASE_UNAVAILABLE.", ["kind"])
LINES_DROPPED: Final = _counter("auth_log_lines_dropped", "Lines of requests that standard output did not take.")


@blueprint.get("/metrics")
def metrics(_: Request) -> Response:
    shown: Any = _registry
    if folder := os.environ.get("PROMETHEUS_MULTIPROC_DIR"):  # more than one process
        os.makedirs(folder, 0o700, exist_ok=True)  # a clean-up may have removed it
        shown = MultiProcessCollector(None)  # type: ignore[no-untyped-call]
    return Response(generate_latest(shown), {"Content-Type": CONTENT_TYPE_LATEST})


def count(request: Request, rpc: str, status: int, seconds: float, event: dict[str, Any]) -> None:
    REQUESTS(rpc, status).inc()
    LATENCY(rpc).observe(seconds)
    if event:
        EVENTS(event["event"], event["outcome"]).inc()
    if revoked := request.details.get("revoked"):
        REVOKED.inc(revoked)
    if request.hash_wait_seconds is not None:
        HASH_WAIT.observe(request.hash_wait_seconds)
    if request.record["errorCode"] == "DATABASE_UNAVAILABLE":
        DATABASE_ERRORS.labels(request.record["cause"]).inc()
