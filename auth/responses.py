"""How answers leave: JSON bodies, errors, and the headers that every answer carries."""

from collections.abc import Mapping
from typing import Any

import msgspec
from flask import Flask, Response, request
from msgspec import Struct
from werkzeug.exceptions import HTTPException

from . import audit
from .errors import ApiError
from .models import CommonErrorMessage

_FRAMEWORK_ERRORS = {
    400: ("BAD_REQUEST", "The request could not be understood."),
    404: ("NOT_FOUND", "There is nothing at this path."),
    405: ("METHOD_NOT_ALLOWED", "This path does not take that method."),
    413: ("BODY_TOO_LARGE", "The body of the request is too large."),
    415: ("UNSUPPORTED_MEDIA_TYPE", "The body of the request is of a media type this call does not take."),
    500: ("INTERNAL_ERROR", "Something went wrong."),
}


def register_error_handlers(app: Flask) -> None:
    """Make every error of the app and of the framework a `CommonErrorMessage`."""
    app.register_error_handler(ApiError, error_response_of)
    app.register_error_handler(HTTPException, _framework_error)


def error_response_of(error: ApiError) -> Response:
    """The answer that an error stands for."""
    return error_response(error.status, error.why, error.error_code, error.headers)


def _framework_error(error: HTTPException) -> Response:
    status = error.code or 500
    error_code, why = _FRAMEWORK_ERRORS.get(status, (None, error.name))
    headers = {name: value for name, value in error.get_headers() if name == "Allow"}
    return error_response(status, why, error_code, headers)


def error_response(status: int, why: str, error_code: str | None, headers: Mapping[str, str]) -> Response:
    """A `CommonErrorMessage` with that status and those headers."""
    audit.record().error_code = error_code
    body = msgspec.json.encode(CommonErrorMessage(why, error_code))
    return Response(body, status, dict(headers), mimetype="application/json")


def json_response(model: Struct | dict[str, Any]) -> Response:
    """A success with the model as its JSON body."""
    return Response(msgspec.json.encode(model), mimetype="application/json")


def protect_answers(app: Flask) -> None:
    """Give every answer the headers that keep tokens out of caches and bodies from being taken for something else."""

    @app.after_request
    def add_headers(response: Response) -> Response:
        response.headers["X-Content-Type-Options"] = "nosniff"
        if request.path.startswith("/auth/"):
            response.headers["Cache-Control"] = "no-store, private"
            response.headers["Pragma"] = "no-cache"
        return response
