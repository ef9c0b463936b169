"""How requests are read: the bearer token, the query, and bodies, none of which are believed before they fit."""

from collections.abc import Callable
from typing import TypeVar
from urllib.parse import parse_qsl

import msgspec
from flask import request
from gunicorn.http.errors import ParseException
from msgspec import Struct
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge

from .errors import BodyTooLarge, InvalidRequest, UnreadableBody, UnsupportedMediaType
from .limits import BODY_BYTES

Model = TypeVar("Model", bound=Struct)

_FORM_FIELDS = 100  # far more than any form here has


def bearer_token() -> str | None:
    """The token of the Authorization header, or None where it carries no bearer token."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


def read_query(model: type[Model]) -> Model:
    """The query as the model; of a parameter given twice, the first value. Raises `InvalidRequest`."""
    return _convert("query", lambda: _form_fields(request.query_string), model, strict=False)


def read_body() -> bytes:
    """The whole body, at most 2 MiB of it. Raises `BodyTooLarge`, or `UnreadableBody` for broken chunks."""
    if not request.content_length and "Transfer-Encoding" not in request.headers:
        return b""
    request.max_content_length = BODY_BYTES + 1  # Werkzeug cuts a body without a length there, and says nothing
    try:
        body = request.get_data()
    except RequestEntityTooLarge:
        raise BodyTooLarge from None
    except (ParseException, ClientDisconnected, OSError):
        raise UnreadableBody from None
    if len(body) > BODY_BYTES:
        raise BodyTooLarge
    if len(body) < (request.content_length or 0):  # the client hung up in the middle
        raise UnreadableBody
    return body


def read_json(model: type[Model]) -> Model:
    """The JSON body as the model. Raises `UnsupportedMediaType` for a body that calls itself something else."""
    body = read_body()
    if request.mimetype not in ("", "application/json"):
        raise UnsupportedMediaType
    return _parse_json(body, model)


def _parse_json(body: bytes, model: type[Model]) -> Model:
    try:
        return msgspec.json.decode(body, type=model)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise InvalidRequest(_explanation("body", error)) from None


def read_form(model: type[Model]) -> Model:
    """A url-encoded or multipart form, or a JSON object, as the model. Raises `InvalidRequest`."""
    body = read_body()
    match request.mimetype:
        case "application/x-www-form-urlencoded":
            return _convert("form", lambda: _form_fields(body), model)
        case "multipart/form-data":
            return _convert("form", lambda: _parts(body), model)
        case "application/json":
            return _parse_json(body, model)
        case "":
            raise InvalidRequest("The request needs a Content-Type.")
        case _:
            raise UnsupportedMediaType


def _parts(body: bytes) -> dict[str, str]:
    body.decode()  # Werkzeug puts a replacement character for what is not UTF-8
    try:
        return request.form.to_dict()
    except RequestEntityTooLarge:  # too many parts
        raise ValueError("not a form of ours") from None


def _convert(part: str, fields: Callable[[], dict[str, str]], model: type[Model], strict: bool = True) -> Model:
    try:
        return msgspec.convert(fields(), model, strict=strict)
    except (msgspec.ValidationError, ValueError) as error:
        raise InvalidRequest(_explanation(part, error)) from None


def _form_fields(encoded: bytes) -> dict[str, str]:
    pairs = parse_qsl(encoded.decode(), keep_blank_values=True, errors="strict", max_num_fields=_FORM_FIELDS)
    return dict(reversed(pairs))


def _explanation(part: str, error: Exception) -> str:
    """Where the request went wrong, in our words: a library's may change, or tell too much."""
    if not isinstance(error, msgspec.ValidationError):
        return f"The {part} of the request could not be parsed."
    message = str(error)
    if message.startswith("Object missing required field `"):
        return f"The {part} of the request lacks {message.split('`')[1]!r}."
    place = message.partition(" - at `$.")[2].rstrip("`")
    return f"The {part} of the request has an invalid value{f' at {place!r}' if place else ''}."
