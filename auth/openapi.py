"""The OpenAPI 3.1 document of every route, made from the declarations that route, guard and validate."""

import inspect
from functools import cache
from http import HTTPStatus
from typing import Any, Final

import msgspec
from flask import Blueprint, Response
from msgspec import Struct

from . import errors
from .models import CommonErrorMessage, Unit
from .responses import json_response
from .rpc import RPCS, Rpc

blueprint = Blueprint("openapi", __name__)

TITLE: Final = "User Authentication"
VERSION: Final = "1.0.0"
FORM_TYPES: Final = ("application/x-www-form-urlencoded", "multipart/form-data", "application/json")

SECURITY: Final[dict[str, list[dict[str, list[str]]]]] = {
    "access token": [{"accessToken": []}],
    "refresh token": [{"refreshToken": []}],
    "refresh cookie": [{"refreshCookie": [], "csrfToken": []}],
    "password": [],
}
SCHEMES: Final = {
    "accessToken": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
    "refreshToken": {"type": "http", "scheme": "bearer", "description": "An opaque refresh token."},
    "refreshCookie": {
        "type": "apiKey",
        "in": "cookie",
        "name": "__Host-refreshToken",
        "description": "Set by passwordLogin; `refreshToken` where COOKIE_SECURE is 0. Needs a trusted Origin.",
    },
    "csrfToken": {"type": "apiKey", "in": "header", "name": "X-CSRFToken"},
}


@blueprint.get("/openapi.json")
def openapi() -> Response:
    """This document."""
    return json_response(document())


@cache
def document() -> dict[str, Any]:
    """The document, as JSON's types."""
    models = [CommonErrorMessage, Unit]
    for rpc in RPCS.values():
        models += [model for model in (rpc.response, rpc.query, rpc.body, rpc.form) if model is not None]
    _, components = msgspec.json.schema_components(models, ref_template="#/components/schemas/{name}")
    paths: dict[str, dict[str, Any]] = {}
    for rpc in RPCS.values():
        path = rpc.path.replace("<", "{").replace(">", "}")
        paths.setdefault(path, {})[rpc.method.lower()] = _operation(rpc)
    return {
        "openapi": "3.1.0",
        "info": {"title": TITLE, "version": VERSION},
        "paths": paths | _plain_paths(),
        "components": {"schemas": components, "securitySchemes": SCHEMES},
    }


def _operation(rpc: Rpc) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": rpc.name,
        "tags": ["auth"],
        "security": SECURITY[rpc.credential],
        "responses": {"200": _success(rpc)} | {str(status): _error(status) for status in rpc.errors},
    }
    if rpc.scope is not None:
        operation["description"] = f"Roles {', '.join(sorted(rpc.roles))}; scope `{rpc.scope}`."
    if parameters := _parameters(rpc):
        operation["parameters"] = parameters
    if rpc.body is not None:
        operation["requestBody"] = _body(rpc.body, ("application/json",))
    if rpc.form is not None:
        operation["requestBody"] = _body(rpc.form, FORM_TYPES)
    return operation


def _parameters(rpc: Rpc) -> list[dict[str, Any]]:
    parameters: list[dict[str, Any]] = []
    if "<" in rpc.path:
        name = rpc.path.partition("<")[2].partition(">")[0]
        parameters.append({"name": name, "in": "path", "required": True, "schema": {"type": "string"}})
    if rpc.query is not None:
        schema = next(iter(msgspec.json.schema_components([rpc.query])[1].values()))
        required = schema.get("required", [])
        parameters += [
            {"name": name, "in": "query", "required": name in required, "schema": described}
            for name, described in schema["properties"].items()
        ]
    return parameters


def _body(model: type[Struct], media_types: tuple[str, ...]) -> dict[str, Any]:
    return {"required": True, "content": {media_type: {"schema": _reference(model)} for media_type in media_types}}


def _success(rpc: Rpc) -> dict[str, Any]:
    content: dict[str, Any] = {"application/json": {"schema": _reference(rpc.response)}}
    if rpc.form is not None:
        content["text/html"] = {"schema": {"type": "string"}}
    return {"description": "Success.", "content": content}


def _error(status: int) -> dict[str, Any]:
    content = {"application/json": {"schema": _reference(CommonErrorMessage), "examples": _examples(status)}}
    return {"description": HTTPStatus(status).phrase, "content": content}


def _examples(status: int) -> dict[str, Any]:
    """One for each error that has this status."""
    kinds = [
        kind
        for _, kind in inspect.getmembers(errors, inspect.isclass)
        if issubclass(kind, errors.ApiError) and kind.status == status and kind.error_code
    ]
    return {
        kind.__name__: {"value": {"why": inspect.cleandoc(kind.__doc__ or ""), "errorCode": kind.error_code}}
        for kind in kinds
    }


def _reference(model: Any) -> Any:
    return msgspec.json.schema_components([model], ref_template="#/components/schemas/{name}")[0][0]


def _plain_paths() -> dict[str, Any]:
    """The routes beside the RPCs, which take nothing."""

    def get(name: str, description: str, content: dict[str, Any], *statuses: int) -> dict[str, Any]:
        responses = {"200": {"description": description, "content": content}}
        return {
            "get": {
                "operationId": name,
                "tags": ["operations"],
                "security": [],
                "responses": responses | {str(status): _error(status) for status in statuses},
            }
        }

    unit, anything = {"application/json": {"schema": _reference(Unit)}}, {"schema": {"type": "object"}}
    return {
        "/livez": get("livez", "The process serves.", unit),
        "/readyz": get("readyz", "The database answers and is migrated.", unit, 503),
        "/.well-known/jwks.json": get("jwks", "The public keys.", {"application/jwk-set+json": anything}),
        "/metrics": get("metrics", "Prometheus text.", {"text/plain": {"schema": {"type": "string"}}}),
        "/openapi.json": get("openapi", "This document.", {"application/json": anything}),
    }
