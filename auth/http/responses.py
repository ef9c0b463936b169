"""Responses: JSON bodies, errors, and the headers that every response carries."""

from collections.abc import Mapping
from typing import Any, Final
from wsgiref.types import StartResponse

import msgspec
from werkzeug.http import HTTP_STATUS_CODES

from auth.core.errors import ApiError, InternalError
from auth.core.origins import origin_of
from auth.http.request import Request

# For `/auth` and `/api`: tokens stay out of caches, and only the pages of trusted origins may read an answer.
_NO_STORE: Final = [("Cache-Control", "no-store, private"), ("Pragma", "no-cache"), ("Vary", "Origin")]
_CORS: Final = [
    ("Access-Control-Allow-Credentials", "true"),
    ("Access-Control-Expose-Headers", "Retry-After, X-Request-Id"),
]
_HEADERS: Final = "Authorization, Content-Type, Idempotency-Key, X-CSRFToken, X-Request-Id"
_PREFLIGHT: Final = [
    ("Access-Control-Allow-Methods", "GET, POST, DELETE"),
    ("Access-Control-Allow-Headers", f"{_HEADERS}, traceparent, tracestate, baggage, sentry-trace"),
    ("Access-Control-Max-Age", "600"),
]
HTML: Final = {"Content-Type": "text/html; charset=utf-8"}
JSON: Final = {"Content-Type": "application/json"}


class Response(msgspec.Struct):
    body: bytes
    headers: Mapping[str, str]
    status: int = 200

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> list[bytes]:
        request: Request = environ["auth.request"]
        headers = [*self.headers.items(), ("Content-Length", str(len(self.body)))]
        headers += [("X-Request-Id", request.id), ("X-Content-Type-Options", "nosniff")]
        headers += request.headers_to_set
        if request.path.startswith(("/auth", "/api")):
            headers += _NO_STORE
            origin = request.header("Origin")
            if origin and origin_of(origin) in request.config.trusted_origins:
                headers += [("Access-Control-Allow-Origin", origin), *_CORS]
                if request.method == "OPTIONS" and request.header("Access-Control-Request-Method"):
                    headers += _PREFLIGHT
        start_response(f"{self.status} {HTTP_STATUS_CODES[self.status].upper()}", headers)
        return [b"" if request.method == "HEAD" else self.body]


def json_response(model: Any) -> Response:
    return Response(msgspec.json.encode(model), JSON)


def error_response(request: Request, error: Exception) -> Response:
    if not isinstance(error, ApiError):
        request.exception, error = error, InternalError()
    request.record["errorCode"] = error.error_code
    if error.cause:
        request.record["cause"] = error.cause
    body = msgspec.json.encode({"why": error.why, "errorCode": error.error_code, **error.fields})
    return Response(body, {**error.headers, **JSON}, error.status)
