"""Responses: JSON bodies, errors, and the headers that every response carries."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import flask
import msgspec
from werkzeug.exceptions import HTTPException

from auth.core import errors
from auth.core.models import CommonErrorMessage
from auth.core.origins import origin_of
from auth.http.request import Request, current_request

_KNOWN: Final = (
    errors.BadRequest,
    errors.NotFound,
    errors.MethodNotAllowed,
    errors.BodyTooLarge,
    errors.UnsupportedMediaType,
)
_FRAMEWORK_ERRORS: Final = {error.status: error for error in _KNOWN}
_NO_STORE: Final = [("Cache-Control", "no-store, private"), ("Pragma", "no-cache"), ("Vary", "Origin")]
_PREFLIGHT: Final = [
    ("Access-Control-Allow-Methods", "GET, POST, DELETE"),
    ("Access-Control-Allow-Headers", "Authorization, Content-Type, X-CSRFToken, X-Request-Id"),
    ("Access-Control-Max-Age", "600"),
]


class Response(flask.Response):
    """A response with the headers that every answer carries. Added here, they cost less than by Flask's hooks."""

    def get_wsgi_response(self, environ: dict[str, Any]) -> tuple[Iterable[bytes], str, list[tuple[str, str]]]:
        body, status, headers = super().get_wsgi_response(environ)
        return body, status, headers + headers_of(environ["werkzeug.request"])


def json_response(model: msgspec.Struct | dict[str, Any]) -> Response:
    """A success with the model as its JSON body."""
    return Response(msgspec.json.encode(model), mimetype="application/json")


def register_error_handlers(app: flask.Flask) -> None:
    """Make every error of the app and of the framework a `CommonErrorMessage`."""
    app.register_error_handler(errors.ApiError, _api_error)
    app.register_error_handler(HTTPException, _framework_error)
    app.register_error_handler(Exception, _unexpected_error)


def headers_of(request: Request) -> list[tuple[str, str]]:
    """The headers that every answer to this request carries, whatever it is.

    Those of `/auth` keep tokens out of caches, and let the pages of trusted origins, and no others, read the answer.
    """
    headers = [("X-Request-Id", request.record.request_id), ("X-Content-Type-Options", "nosniff")]
    headers += [("Set-Cookie", cookie) for cookie in request.cookies_to_set]
    if request.path.startswith("/auth/"):
        headers += _NO_STORE
        origin = request.headers.get("Origin")
        if origin and origin_of(origin) in request.config.trusted_origins:
            headers += _cors_headers(origin, request)
    return headers


def _cors_headers(origin: str, request: Request) -> list[tuple[str, str]]:
    headers = [
        ("Access-Control-Allow-Origin", origin),
        ("Access-Control-Allow-Credentials", "true"),
        ("Access-Control-Expose-Headers", "Retry-After, X-Request-Id"),
    ]
    is_preflight = request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers
    return headers + _PREFLIGHT if is_preflight else headers


def _api_error(error: errors.ApiError) -> Response:
    current_request().record.cause = error.cause
    return _error_response(error.status, error.why, error.error_code, error.headers)


def _framework_error(error: HTTPException) -> Response:
    headers = {name: value for name, value in error.get_headers() if name == "Allow"}
    if error.code not in _FRAMEWORK_ERRORS:
        return _error_response(error.code or 500, error.name, None, headers)
    known = _FRAMEWORK_ERRORS[error.code]()
    return _error_response(known.status, known.why, known.error_code, headers)


def _unexpected_error(error: Exception) -> Response:
    current_request().record.exception = error
    return _api_error(errors.InternalError())


def _error_response(status: int, why: str, error_code: str | None, headers: Mapping[str, str]) -> Response:
    current_request().record.error_code = error_code
    body = msgspec.json.encode(CommonErrorMessage(why, error_code))
    return Response(body, status, headers, mimetype="application/json")
