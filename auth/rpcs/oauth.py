"""The endpoints of OAuth 2.0, and /auth/verify for gateways. docs/architecture.md calls them doors."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any
from urllib.parse import quote

from flask import Blueprint

from auth.core import errors, oauth
from auth.core.claims import Bearer
from auth.core.models import Role
from auth.core.scopes import Scope, parse_all
from auth.db import Row
from auth.http.request import Request
from auth.http.responses import Response, json_response
from auth.http.rpc import PUBLIC, RPCS, Rpc
from auth.rpcs import extension, logout, refresh

blueprint = Blueprint("oauth", __name__)

METHODS = ("POST", "PUT", "PATCH", "DELETE", "OPTIONS")  # some gateways ask with the method of the checked request


class Door(Rpc):
    """An RPC in the dialect of OAuth 2.0. Its errors have the codes of both dialects."""

    def _serve(self, handler: Callable[..., Any], request: Request, **path: str) -> Response:
        try:
            return super()._serve(handler, request, **path)
        except errors.ApiError as error:
            code = next(code for code, kinds in oauth.CODES.items() if isinstance(error, kinds))
            if isinstance(error, errors.Unauthorized) and "access_token" in self.models:
                code = "invalid_token"  # RFC 6750, 3.1
            elif isinstance(error, errors.Unauthorized):
                error.status, error.headers = 400, {}  # RFC 6749, 5.2: 401 only for a wrong client
            error.fields = {"error": code, "error_description": error.why}
            raise


@Door(blueprint, "oauth.token", "POST /auth/oauth/token", PUBLIC, event="oauth token")
def token(request: Request, parameters: oauth.TokenForm) -> oauth.TokenAnswer:
    if parameters.actor_token or parameters.audience or parameters.resource:
        raise errors.InvalidRequest("actor_token, audience and resource are not supported.")
    if parameters.grant_type == oauth.EXCHANGE:
        return _exchange(request, parameters)
    if parameters.grant_type == "client_credentials":
        stored = _client(request, parameters)
    elif parameters.grant_type == "refresh_token":
        if not parameters.refresh_token:
            raise errors.InvalidRequest("The form has no refresh_token.")
        stored = refresh.find(request, parameters.refresh_token)
    else:
        raise oauth.UnsupportedGrantType
    scopes = parameters.scope.split()
    return oauth.token_answer(refresh.mint(request, stored, parse_all(scopes) if scopes else ()))


def _exchange(request: Request, parameters: oauth.TokenForm) -> oauth.TokenAnswer:
    own_token = refresh.mint(request, _client(request, parameters))
    bearer = RPCS["tokenExtension"].admitted(request, own_token)
    tokens = extension.token_extension(request, bearer, oauth.extension_request(parameters))
    return oauth.token_answer(tokens.access_token, tokens.refresh_token, parameters.requested_token_type)


@Door(blueprint, "oauth.introspect", "POST /auth/oauth/introspect", PUBLIC, event="introspection")
def introspect(request: Request, parameters: oauth.TokenIntrospection) -> dict[str, Any]:
    _client(request, parameters)
    try:
        bearer = _live(request, parameters.token)
    except errors.InvalidToken:
        return {"active": False}
    request.details["user"] = bearer.principal_id
    if bearer.is_one_time and request.db.one("jti_claim_find", jti=bearer.jti):
        return {"active": False}
    return oauth.introspection(parameters.token)


@Door(blueprint, "oauth.revoke", "POST /auth/oauth/revoke", PUBLIC, event="logout")
def revoke(request: Request, parameters: oauth.TokenRevocation) -> None:
    with suppress(errors.InvalidToken):  # RFC 7009, 2.2: an unknown token is no error
        logout.logout(request, parameters.token)


@Door(blueprint, "oauth.verify", "GET /auth/verify", PUBLIC, other_methods=METHODS)
def verify(request: Request, access_token: str, query: oauth.VerifyRequest) -> None:
    """A gateway asks before it lets a request pass. The headers name the principal, role, scopes and chain."""
    bearer = _live(request, access_token)
    request.set_principal(bearer.principal_id, bearer.session_reference or None, bearer.extended_by_chain)
    if bearer.is_one_time:
        raise errors.InvalidToken
    if query.scope and not any(map(Scope.parse(query.scope).covered_by, bearer.scopes)):
        raise errors.ScopeNotCovered
    request.headers_to_set += [
        ("X-Auth-Principal", quote(bearer.principal_id, oauth.VISIBLE)),
        ("X-Auth-Role", bearer.role),
        ("X-Auth-Scopes", " ".join(bearer.aud)),
        ("X-Auth-Chain", ",".join(quote(service, oauth.VISIBLE) for service in bearer.extended_by_chain)),
    ]


@blueprint.get(oauth.WELL_KNOWN)
@blueprint.get(f"{oauth.WELL_KNOWN}/<path:of_issuer>")
def metadata(request: Request, of_issuer: str = "") -> Response:
    request.headers_to_set += [("Access-Control-Allow-Origin", "*"), ("Cache-Control", "no-store")]
    return json_response(oauth.metadata(request.config.issuer, request.path))


def _live(request: Request, access_token: str) -> Bearer:
    """The bearer of a live access token. Raises `InvalidToken`."""
    bearer = request.tokens.verify(access_token)
    if bearer.role is Role.UNKNOWN:
        raise errors.InvalidToken
    request.live_row("bearer_find", **bearer.parameters())
    return bearer


def _client(request: Request, form: oauth.ClientForm) -> Row:
    """The service whose id and refresh token the request carries. Raises `InvalidClient`, whatever is wrong."""
    scheme, _, encoded = request.header("Authorization").partition(" ")
    if scheme.lower() == "basic":
        form = oauth.basic_credentials(encoded.strip())
    with suppress(errors.InvalidToken):
        service = refresh.find(request, form.client_secret)
        if (service["role"], service["id"]) == (Role.SERVICE, form.client_id):
            return service
    raise oauth.InvalidClient
