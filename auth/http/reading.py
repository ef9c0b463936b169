"""Reads requests: the bearer token, and the query and the body as their models."""

import re
from collections.abc import Callable, Sequence
from io import BytesIO
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec
from gunicorn.http.errors import ParseException
from werkzeug.formparser import FormDataParser
from werkzeug.http import parse_options_header

from auth.core.errors import BodyTooLarge, InvalidRequest, InvalidToken, UnreadableBody, UnsupportedMediaType
from auth.http.request import Request

FORM: Final = "application/x-www-form-urlencoded"
JSON: Final = "application/json"
BODIES: Final = {"body": (JSON,), "form": (FORM, "multipart/form-data", JSON), "parameters": (FORM,)}  # media types

# Far more than any form here needs. Each field, and each byte of a part's headers, costs processor time.
_FORM_FIELDS: Final = 100
_PART_HEADER_BYTES: Final = 16 * 1024  # the headers of all parts together
_KEY: Final = re.compile(r"[!-~]{1,255}")
_NUMBERS: Final = {"itemsPerPage", "page"}  # the parameters of queries that are numbers
_NUMBER: Final = re.compile(r"-?[0-9]+")  # `int` alone also takes spaces, `+1`, `1_0` and other digits


def bearer_token(request: Request, *_unused: object) -> str:
    """The token of the Authorization header. Raises `InvalidToken` where it carries no bearer token."""
    scheme, _, token = request.header("Authorization").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise InvalidToken
    return token.strip()


def idempotency_key(request: Request, *_: object) -> str | None:
    """The Idempotency-Key header, or None where there is none. Raises `InvalidRequest`."""
    key: str | None = request.environ.get("HTTP_IDEMPOTENCY_KEY")
    if key is not None and not _KEY.fullmatch(key):
        raise InvalidRequest("The Idempotency-Key must have 1 to 255 visible ASCII characters.")
    return key


def read_query(request: Request, _: bytes, model: type[msgspec.Struct]) -> msgspec.Struct:
    """The query as the model; of a parameter given twice, the first value. Raises `InvalidRequest`."""
    return _read("query", model, lambda: msgspec.convert(_query_fields(request.environ["QUERY_STRING"]), model))


def read_body(request: Request, limit: int) -> bytes:
    """The whole body, of at most `limit` bytes. Raises `BodyTooLarge`, or `UnreadableBody` for broken chunks."""
    length = int(request.environ.get("CONTENT_LENGTH") or 0)
    if not length and "HTTP_TRANSFER_ENCODING" not in request.environ:
        return b""
    try:
        body = b"" if length > limit else request.environ["wsgi.input"].read(limit + 1)
    except (ParseException, OSError):
        raise UnreadableBody from None
    if max(length, len(body)) > limit:
        raise BodyTooLarge(f"The body of the request is too large: this call takes at most {limit:,} bytes.")
    if len(body) < length:  # the client closed the connection too early
        raise UnreadableBody
    return body


def read_model(accepted: Sequence[str], request: Request, body: bytes, model: type[msgspec.Struct]) -> msgspec.Struct:
    """The body as the model. Raises `UnsupportedMediaType` if its media type is not accepted, or `InvalidRequest`."""
    given = request.environ.get("CONTENT_TYPE", "")[:256]  # each parameter costs time; a boundary has at most 70 bytes
    media_type, parameters = parse_options_header(given)
    media_type = media_type.lower()
    if not media_type and len(accepted) > 1:
        raise InvalidRequest("The request needs a Content-Type.")
    if media_type not in accepted and (media_type or JSON not in accepted):
        raise UnsupportedMediaType
    if media_type in ("", JSON):
        return _read("body", model, lambda: msgspec.json.decode(body, type=model))
    if media_type == FORM:
        return _read("form", model, lambda: msgspec.convert(_form_fields(body), model))
    return _read("form", model, lambda: msgspec.convert(_parts(body, media_type, parameters), model))


def _read(part: str, model: type[msgspec.Struct], read: Callable[[], msgspec.Struct]) -> msgspec.Struct:
    try:
        return read()
    except msgspec.ValidationError:
        required = ", ".join(field.encode_name for field in msgspec.structs.fields(model) if field.required)
        needs = f" Required: {required}." if required else ""
        raise InvalidRequest(f"The {part} of the request is not a {model.__name__}.{needs}") from None
    except (msgspec.DecodeError, ValueError, RecursionError):
        raise InvalidRequest(f"The {part} of the request could not be parsed.") from None


def _query_fields(query: str) -> dict[str, Any]:
    fields: dict[str, Any] = _form_fields(query.encode("latin-1"), keep_empty=True)
    for name in _NUMBERS & fields.keys():
        if not _NUMBER.fullmatch(fields[name]):
            raise InvalidRequest(f"{name!r} must be a whole number.")
        fields[name] = int(fields[name])
    return fields


def _form_fields(encoded: bytes, keep_empty: bool = False) -> dict[str, str]:
    pairs = parse_qsl(encoded.decode(), keep_empty, errors="strict", max_num_fields=_FORM_FIELDS)
    return dict(reversed(pairs))


def _parts(body: bytes, media_type: str, parameters: dict[str, str]) -> dict[str, str]:
    body.decode()  # raises: Werkzeug would replace bytes that are not UTF-8
    pieces = body.split(parameters.get("boundary", "").encode())  # raises without a boundary
    headers = sum(len(piece.partition(b"\r\n\r\n")[0]) for piece in pieces)
    if len(pieces) - 2 > _FORM_FIELDS or headers > _PART_HEADER_BYTES:  # a piece before the parts, and one after them
        raise ValueError("too many parts, or too long headers")
    parser = FormDataParser(lambda *_, **__: BytesIO(), silent=False)  # no temporary files
    return parser.parse(BytesIO(body), media_type, len(body), parameters)[1].to_dict()
