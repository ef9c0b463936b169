"""The public keys, and the OpenAPI 3.1 document of every route, made from the declarations of the RPCs."""

import re
from collections import defaultdict
from functools import cache
from typing import Any, Final

import msgspec
from flask import Blueprint

from auth import VERSION
from auth.core.limits import JWKS_SECONDS
from auth.core.models import CommonErrorMessage
from auth.core.oauth import WELL_KNOWN
from auth.http.reading import BODIES, JSON
from auth.http.request import Request
from auth.http.responses import Response, json_response
from auth.http.rpc import PUBLIC, RPCS, Rpc

blueprint = Blueprint("documents", __name__)

PLAIN_PATHS: Final = {
    "/livez": ("livez", "The process serves.", JSON),
    "/readyz": ("readyz", "The database answers and is migrated.", JSON),
    "/.well-known/jwks.json": ("jwks", "The public keys.", "application/jwk-set+json"),
    WELL_KNOWN: ("metadata", "The metadata for clients of OAuth 2.0.", JSON),
    "/metrics": ("metrics", "Prometheus text.", "text/plain"),
    "/openapi.json": ("openapi", "This document.", JSON),
}
SECURITY: Final[dict[str, dict[str, list[str]]]] = {  # the credentials of a call, by the parameter of its handler
    "bearer": {"accessToken": []},
    "access_token": {"accessToken": []},
    "refresh_token": {"refreshToken": []},
    "cookie_token": {"refreshCookie": [], "csrfToken": []},
}
COOKIE: Final = "Set by passwordLogin; `refreshToken` where COOKIE_SECURE is 0. Needs a trusted Origin."
SCHEMES: Final = {
    "accessToken": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
    "refreshToken": {"type": "http", "scheme": "bearer", "description": "An opaque refresh token."},
    "refreshCookie": {"type": "apiKey", "in": "cookie", "name": "__Host-refreshToken", "description": COOKIE},
    "csrfToken": {"type": "apiKey", "in": "header", "name": "X-CSRFToken"},
}
KEY: Final = {"name": "Idempotency-Key", "in": "header", "schema": {"type": "string", "pattern": "^[!-~]{1,255}$"}}
_models: Final[dict[str, Any]] = {}  # the schemas that the document refers to


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
    paths: dict[str, dict[str, Any]] = defaultdict(dict)
    for declared in RPCS.values():
        paths[re.sub("<(.+?)>", r"{\1}", declared.path)][declared.method.lower()] = _call(declared)
    for path, (name, description, media_type) in PLAIN_PATHS.items():
        paths[path]["get"] = _operation(name, "operations", description, {media_type: {"schema": {}}})
    info = {"title": "User Authentication", "version": VERSION}
    components = {"schemas": _models, "securitySchemes": SCHEMES}
    return {"openapi": "3.1.0", "info": info, "paths": paths, "components": components}


def _call(declared: Rpc) -> dict[str, Any]:
    answers = [_schema(answer) for answer in declared.answers if answer is not Response]
    content = {JSON: {"schema": answers[0] if len(answers) == 1 else {"anyOf": answers}}}
    if Response in declared.answers:
        content["text/html"] = {"schema": {"type": "string"}}
    operation = _operation(declared.name, "auth", "Success.", content)
    operation["security"] = [SECURITY[part] for part in declared.models if part in SECURITY]
    operation["parameters"] = _parameters(declared)
    if declared.roles != PUBLIC:
        operation["description"] = f"Roles {', '.join(sorted(declared.roles))}; scope `{declared.scope}`."
    for part in BODIES.keys() & declared.models.keys():
        schema = {"schema": _schema(declared.models[part])}
        operation["requestBody"] = {"required": True, "content": dict.fromkeys(BODIES[part], schema)}
    return operation


def _operation(name: str, tag: str, description: str, content: Any) -> dict[str, Any]:
    error = {"description": "An error.", "content": {JSON: {"schema": _schema(CommonErrorMessage)}}}
    responses = {"200": {"description": description, "content": content}, "default": error}
    return {"operationId": name, "tags": [tag], "security": [], "responses": responses}


def _parameters(declared: Rpc) -> list[dict[str, Any]]:
    in_path = re.findall("<(.+?)>", declared.path)
    parameters = [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in in_path]
    if "idempotency_key" in declared.models:
        parameters.append(KEY)
    if "query" in declared.models:
        [model] = msgspec.json.schema(declared.models["query"])["$defs"].values()
        for name, schema in model["properties"].items():
            parameters.append({"name": name, "in": "query", "required": name in model["required"], "schema": schema})
    return parameters


def _schema(model: Any) -> dict[str, Any]:
    [schema], models = msgspec.json.schema_components([model], ref_template="#/components/schemas/{name}")
    _models.update(models)
    return schema
