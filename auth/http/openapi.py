"""The OpenAPI 3.1 document of every route, made from the declarations that route, guard and validate."""

import re
from functools import cache
from typing import Any, Final

import msgspec
from flask import Blueprint

from auth import VERSION
from auth.core.models import CommonErrorMessage, Unit
from auth.http.responses import Response
from auth.http.rpc import RPCS, rpc

blueprint = Blueprint("openapi", __name__)

TITLE: Final = "User Authentication"
TEMPLATE: Final = "#/components/schemas/{name}"
FORM_TYPES: Final = ("application/x-www-form-urlencoded", "multipart/form-data", "application/json")
ERROR: Final = {"$ref": "#/components/responses/Error"}

KEY: Final = {"type": "string", "pattern": "^[!-~]{1,255}$"}
BODIES: Final = {"body": ("application/json",), "form": FORM_TYPES}
PATH: Final = re.compile("<(.+?)>")
PLAIN_PATHS: Final = {
    "/livez": ("livez", "The process serves.", "application/json"),
    "/readyz": ("readyz", "The database answers and is migrated.", "application/json"),
    "/.well-known/jwks.json": ("jwks", "The public keys.", "application/jwk-set+json"),
    "/metrics": ("metrics", "Prometheus text.", "text/plain"),
    "/openapi.json": ("openapi", "This document.", "application/json"),
}

# By the parameters of a handler.
SECURITY: Final[dict[str, dict[str, list[str]]]] = {
    "bearer": {"accessToken": []},
    "refresh_token": {"refreshToken": []},
    "cookie_token": {"refreshCookie": [], "csrfToken": []},
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
    return Response(_encoded(), mimetype="application/json")


@cache
def _encoded() -> bytes:
    return msgspec.json.encode(document())


def document() -> dict[str, Any]:
    """The document, as JSON's types."""
    parts = (*BODIES, "query", "return")
    models = {model for declared in RPCS.values() for part, model in declared.models.items() if part in parts}
    _, schemas = msgspec.json.schema_components([CommonErrorMessage, Unit, *models], ref_template=TEMPLATE)
    paths: dict[str, dict[str, Any]] = {}
    for declared in RPCS.values():
        path = declared.path.replace("<", "{").replace(">", "}")
        paths.setdefault(path, {})[declared.method.lower()] = _operation(declared)
    error = {"description": "An error.", "content": _content(CommonErrorMessage)}
    return {
        "openapi": "3.1.0",
        "info": {"title": TITLE, "version": VERSION},
        "paths": paths | {path: {"get": _plain(*described)} for path, described in PLAIN_PATHS.items()},
        "components": {"schemas": schemas, "responses": {"Error": error}, "securitySchemes": SCHEMES},
    }


def _operation(declared: rpc) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": declared.name,
        "tags": ["auth"],
        "security": [SECURITY[part] for part in declared.models if part in SECURITY],
        "parameters": _parameters(declared),
        "responses": {"200": _success(declared), "default": ERROR},
    }
    if declared.scope is not None:
        operation["description"] = f"Roles {', '.join(sorted(declared.roles))}; scope `{declared.scope}`."
    for part, media_types in BODIES.items():
        if part in declared.models:
            operation["requestBody"] = {"required": True, "content": _content(declared.models[part], *media_types)}
    return operation


def _parameters(declared: rpc) -> list[dict[str, Any]]:
    text = {"type": "string"}
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": text} for name in PATH.findall(declared.path)
    ]
    if "idempotency_key" in declared.models:
        parameters.append({"name": "Idempotency-Key", "in": "header", "required": False, "schema": KEY})
    if "query" not in declared.models:
        return parameters
    schema = next(iter(msgspec.json.schema_components([declared.models["query"]])[1].values()))
    required = schema.get("required", [])
    return parameters + [
        {"name": name, "in": "query", "required": name in required, "schema": described}
        for name, described in schema["properties"].items()
    ]


def _success(declared: rpc) -> dict[str, Any]:
    content = _content(declared.models["return"])
    if "form" in declared.models:
        content["text/html"] = {"schema": {"type": "string"}}
    return {"description": "Success.", "content": content}


def _content(model: Any, *media_types: str) -> dict[str, Any]:
    [schema], _ = msgspec.json.schema_components([model], ref_template=TEMPLATE)
    return {media_type: {"schema": schema} for media_type in media_types or ("application/json",)}


def _plain(name: str, description: str, media_type: str) -> dict[str, Any]:
    success = {"description": description, "content": {media_type: {"schema": {}}}}
    return {
        "operationId": name,
        "tags": ["operations"],
        "security": [],
        "responses": {"200": success, "default": ERROR},
    }
