"""Responses: JSON bodies, errors, and the headers that every response carries."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import flask
import msgspec
from werkzeug.exceptions import HTTPException

from auth.core.errors import BY_STATUS, ApiError, InternalError
from auth.core.models import CommonErrorMessage
from auth.core.origins import origin_of
from auth.http.request import Request, current_request

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


class Response(flask.Response):
    """A response with the headers that every answer carries. Added here, they cost less than by Flask's hooks."""

    def get_wsgi_response(self, environ: dict[str, Any]) -> tuple[Iterable[bytes], str, list[tuple[str, str]]]:
        body, status, headers = super().get_wsgi_response(environ)
        request: Request = environ["werkzeug.request"]
        headers += [("X-Request-Id", request.record.request_id), ("X-Content-Type-Options", "nosniff")]
        headers += [("Set-Cookie", cookie) for cookie in request.cookies_to_set]
        if request.path.startswith(("/auth", "/api")):
            headers += _NO_STORE
            origin = request.headers.get("Origin")
            if origin and origin_of(origin) in request.config.trusted_origins:
                headers += [("Access-Control-Allow-Origin", origin), *_CORS]
                if request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
                    headers += _PREFLIGHT
        return body, status, headers


def json_response(model: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(msgspec.json.encode(model), status, headers, mimetype="application/json")


def error_response(error: Exception) -> Response:
    """Every error, of the app and of the framework, is a `CommonErrorMessage`."""
    request, headers = current_request(), dict[str, str]()
    if isinstance(error, HTTPException) and error.code in BY_STATUS:
        headers = {name: value for name, value in error.get_headers() if name == "Allow"}
        error = BY_STATUS[error.code]()
    elif not isinstance(error, ApiError):
        request.exception, error = error, InternalError()
    request.record.cause = error.cause or msgspec.UNSET
    request.record.error_code = error.error_code
    return json_response(CommonErrorMessage(error.why, error.error_code), error.status, {**headers, **error.headers})
