"""The public keys, and the OpenAPI 3.1 document of every route, made from the declarations of the RPCs."""

import re
from functools import cache
from typing import Any, Final

import msgspec
from flask import Blueprint

from auth import VERSION
from auth.core.limits import JWKS_SECONDS
from auth.core.models import CommonErrorMessage, Unit
from auth.core.oauth import WELL_KNOWN
from auth.http.request import Request
from auth.http.responses import Response, json_response
from auth.http.rpc import PUBLIC, RPCS, Rpc

blueprint = Blueprint("documents", __name__)

TEMPLATE: Final = "#/components/schemas/{name}"
FORM_TYPES: Final = ("application/x-www-form-urlencoded", "multipart/form-data", "application/json")
BODIES: Final = {"body": ("application/json",), "form": FORM_TYPES, "parameters": FORM_TYPES[:1]}
PLAIN_PATHS: Final = {
    "/livez": ("livez", "The process serves.", "application/json"),
    "/readyz": ("readyz", "The database answers and is migrated.", "application/json"),
    "/.well-known/jwks.json": ("jwks", "The public keys.", "application/jwk-set+json"),
    WELL_KNOWN: ("metadata", "The metadata for clients of OAuth 2.0.", "application/json"),
    "/metrics": ("metrics", "Prometheus text.", "text/plain"),
    "/openapi.json": ("openapi", "This document.", "application/json"),
}
SECURITY: Final[dict[str, dict[str, list[str]]]] = {  # the credentials of a call, by the parameter of its handler
    "bearer": {"accessToken": []},
    "access_token": {"accessToken": []},
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


@blueprint.get("/.well-known/jwks.json")
def jwks(request: Request) -> Response:
    keys = msgspec.json.encode(request.tokens.keyring.jwks)
    headers = {"Cache-Control": f"public, max-age={JWKS_SECONDS}", "Access-Control-Allow-Origin": "*"}
    return Response(keys, {**headers, "Content-Type": "application/jwk-set+json"})


@blueprint.get("/openapi.json")
def openapi(_: Request) -> Response:
    return json_response(document())


@cache
def document() -> dict[str, Any]:
    models = {declared.models.get(part, Unit) for declared in RPCS.values() for part in (*BODIES, "query")}
    models |= {answer for declared in RPCS.values() for answer in declared.answers} - {Response}
    _, schemas = msgspec.json.schema_components([CommonErrorMessage, *models], ref_template=TEMPLATE)
    paths: dict[str, dict[str, Any]] = {}
    for declared in RPCS.values():
        path = declared.path.replace("<", "{").replace(">", "}")
        paths.setdefault(path, {})[declared.method.lower()] = _call(declared)
    for path, (name, description, media_type) in PLAIN_PATHS.items():
        paths[path] = {"get": _operation(name, "operations", [], description, {media_type: {"schema": {}}})}
    info = {"title": "User Authentication", "version": VERSION}
    components = {"schemas": schemas, "securitySchemes": SCHEMES}
    return {"openapi": "3.1.0", "info": info, "paths": paths, "components": components}


def _call(declared: Rpc) -> dict[str, Any]:
    security = [SECURITY[part] for part in declared.models if part in SECURITY]
    answers = [_content(answer)["application/json"]["schema"] for answer in declared.answers if answer is not Response]
    content: Any = {"application/json": {"schema": answers[0] if len(answers) == 1 else {"anyOf": answers}}}
    if Response in declared.answers:
        content["text/html"] = {"schema": {"type": "string"}}
    operation = _operation(declared.name, "auth", security, "Success.", content)
    operation["parameters"] = _parameters(declared)
    if declared.roles != PUBLIC:
        operation["description"] = f"Roles {', '.join(sorted(declared.roles))}; scope `{declared.scope}`."
    for part, media_types in BODIES.items():
        if part in declared.models:
            operation["requestBody"] = {"required": True, "content": _content(declared.models[part], *media_types)}
    return operation


def _operation(name: str, tag: str, security: list[Any], description: str, content: Any) -> dict[str, Any]:
    success = {"description": description, "content": content}
    responses = {"200": success, "default": {"description": "An error.", "content": _content(CommonErrorMessage)}}
    return {"operationId": name, "tags": [tag], "security": security, "responses": responses}


def _parameters(declared: Rpc) -> list[dict[str, Any]]:
    parameters = [_parameter("path", name, True, {"type": "string"}) for name in re.findall("<(.+?)>", declared.path)]
    if "idempotency_key" in declared.models:
        key = {"type": "string", "pattern": "^[!-~]{1,255}$"}
        parameters.append(_parameter("header", "Idempotency-Key", False, key))
    if "query" in declared.models:
        [model] = msgspec.json.schema(declared.models["query"])["$defs"].values()
        for name, schema in model["properties"].items():
            parameters.append(_parameter("query", name, name in model["required"], schema))
    return parameters


def _parameter(place: str, name: str, required: bool, schema: dict[str, str]) -> dict[str, Any]:
    return {"name": name, "in": place, "required": required, "schema": schema}


def _content(model: Any, *media_types: str) -> dict[str, Any]:
    [schema], _ = msgspec.json.schema_components([model], ref_template=TEMPLATE)
    return {media_type: {"schema": schema} for media_type in media_types or ("application/json",)}
