"""The doors for software that speaks OAuth 2.0. They translate: nothing is decided here that no RPC decides."""

from contextlib import suppress
from typing import Any
from urllib.parse import unquote_plus

from flask import Blueprint
from werkzeug.datastructures import Authorization

from auth.core import errors, oauth
from auth.core.models import Role
from auth.core.scopes import Scope, parse_all
from auth.db import Row
from auth.http.door import Door
from auth.http.request import Request
from auth.http.responses import Response, json_response
from auth.http.rpc import PUBLIC, RPCS
from auth.rpcs import extension, logout, refresh

blueprint = Blueprint("oauth", __name__)


@Door(blueprint, "oauth.token", "POST /auth/oauth/token", PUBLIC, event="oauth token")
def token(request: Request, parameters: oauth.TokenForm) -> oauth.TokenAnswer:
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
    return oauth.token_answer(tokens.access_token, tokens.refresh_token, oauth.ACCESS_TOKEN_TYPE)


@Door(blueprint, "oauth.introspect", "POST /auth/oauth/introspect", PUBLIC, event="introspection")
def introspect(request: Request, parameters: oauth.IntrospectionForm) -> dict[str, Any]:
    _client(request, parameters)
    try:
        bearer = request.tokens.verify(parameters.token)
        request.live_row("bearer_find", **bearer.parameters())
    except errors.InvalidToken:
        return {"active": False}
    request.details["user"] = bearer.principal_id
    if bearer.is_one_time and request.db.one("jti_claim_find", jti=bearer.jti):
        return {"active": False}
    return oauth.introspection(parameters.token)


@Door(blueprint, "oauth.revoke", "POST /auth/oauth/revoke", PUBLIC, event="logout")
def revoke(request: Request, parameters: oauth.RevocationForm) -> None:
    with suppress(errors.InvalidToken):  # RFC 7009, 2.2: the token is of no use either way
        logout.logout(request, parameters.token)


@Door(blueprint, "oauth.verify", "GET /auth/verify", PUBLIC)
def verify(request: Request, access_token: str, query: oauth.VerifyRequest) -> None:
    """For gateways, which ask before they let a request pass. The headers of the answer say whose it is."""
    bearer = request.tokens.verify(access_token)
    request.set_principal(bearer.principal_id, bearer.session_reference or None, bearer.extended_by_chain)
    if bearer.is_one_time:
        raise errors.InvalidToken
    if query.scope and not any(map(Scope.parse(query.scope).covered_by, bearer.scopes)):
        raise errors.ScopeNotCovered
    request.live_row("bearer_find", **bearer.parameters())
    request.headers_to_set += [
        ("X-Auth-Principal", oauth.header_value(bearer.principal_id)),
        ("X-Auth-Role", bearer.role),
        ("X-Auth-Scopes", " ".join(bearer.aud)),
        ("X-Auth-Chain", ",".join(map(oauth.header_value, bearer.extended_by_chain))),
    ]


@blueprint.get(oauth.WELL_KNOWN)
@blueprint.get(f"{oauth.WELL_KNOWN}/<path:of_issuer>")
def metadata(request: Request, of_issuer: str = "") -> Response:
    request.headers_to_set += [("Access-Control-Allow-Origin", "*"), ("Cache-Control", "no-store")]
    return json_response(oauth.metadata(request.config.issuer, request.path))


def _client(request: Request, form: oauth.ClientForm) -> Row:
    """The service whose id and refresh token the request carries. Raises `InvalidClient`, for all defects the same."""
    client_id, secret = form.client_id, form.client_secret
    text = request.header("Authorization")
    header = Authorization.from_header(text) if text.isascii() else None  # Werkzeug fails on other characters
    if header and header.type == "basic":
        client_id, secret = unquote_plus(header.username or ""), unquote_plus(header.password or "")
    with suppress(errors.InvalidToken):
        service = refresh.find(request, secret)
        if (service["role"], service["id"]) == (Role.SERVICE, client_id):
            return service
    raise oauth.InvalidClient
