"""tokenExtension: a service gets a token to act for a user, narrower than the user's own."""

from dataclasses import replace
from typing import Any

from flask import Blueprint

from auth.core import refresh_tokens
from auth.core.claims import Bearer, Grant
from auth.core.errors import InvalidExpiresIn, InvalidToken, ScopeNotCovered, ScopeNotExtendable, ScopeNotInPolicy
from auth.core.limits import EXTENDED_REFRESH_TOKEN_DAYS, EXTENDED_TOKEN_MAX_MS
from auth.core.models import OptionalAuthenticationTokens, Role, TokenExtensionRequest
from auth.core.scopes import Scope, all_covered, parse_all
from auth.db import Row
from auth.http.request import Request
from auth.http.rpc import PRIVILEGED, WRITE, rpc

blueprint = Blueprint("extension", __name__)


@rpc(blueprint, "tokenExtension", "POST /auth/extend", PRIVILEGED, WRITE, event="extension")
def token_extension(request: Request, bearer: Bearer, body: TokenExtensionRequest) -> OptionalAuthenticationTokens:
    if bearer.is_extended:  # the chain would not name the service that holds the bearer
        raise InvalidToken
    user = _verified_user(request, body.valid_jwt)
    tokens = bearer.parameters() | user.parameters("user") | {"not_after": user.not_after}
    person = request.live("extension_find", **tokens)
    grant = _grant(bearer, body, person, user)
    details = {"scopes": grant.scopes, "refreshes": bool(body.allow_refreshes), "newChain": grant.extended_by_chain}
    request.record.details |= details
    if body.allow_refreshes:
        return _refreshable(request, tokens | {"user_is_extended": user.is_extended}, person, grant)
    source = (user.session_reference or user.extended_from or None) if user.is_extended else None
    access_token = request.tokens.mint(person, replace(grant, extended_from=source), person["issued_at"])
    return OptionalAuthenticationTokens(access_token, None, None)


def _verified_user(request: Request, valid_jwt: str) -> Bearer:
    user = request.tokens.verify(valid_jwt)
    if user.is_one_time or user.role is Role.UNKNOWN:
        raise InvalidToken
    request.record.details["user"] = user.principal_id
    return user


def _grant(bearer: Bearer, body: TokenExtensionRequest, person: Row, user: Bearer) -> Grant:
    """What was asked for, checked in the order of the contract."""
    if not 1 <= body.expires_in <= EXTENDED_TOKEN_MAX_MS:
        raise InvalidExpiresIn
    scopes = parse_all(body.requested_scopes)
    if not all_covered(scopes, [Scope.parse(scope) for scope in person["policy"]]):
        raise ScopeNotInPolicy
    if any(scope.segments[0] in ("all", "special") for scope in scopes):
        raise ScopeNotExtendable
    if not all_covered(scopes, user.scopes):
        raise ScopeNotCovered
    chain = (*user.extended_by_chain, bearer.principal_id)
    texts, not_after = [str(scope) for scope in scopes], person["not_after"]
    return Grant(texts, body.expires_in, None, bearer.principal_id, chain, not_after=not_after)


def _refreshable(request: Request, tokens: dict[str, Any], person: Row, grant: Grant) -> OptionalAuthenticationTokens:
    refresh_token = refresh_tokens.generate()
    stored = request.live(
        "extension_insert",
        **tokens,
        token_hash=refresh_tokens.digest(refresh_token),
        scopes=list(grant.scopes),
        access_token_lifetime_ms=grant.lifetime_ms,
        extended_by_chain=list(grant.extended_by_chain),
        ttl_days=EXTENDED_REFRESH_TOKEN_DAYS,
    )
    reference = stored["public_session_reference"]
    request.record.details["newSession"] = str(reference)
    access_token = request.tokens.mint(person, replace(grant, session_reference=reference))
    return OptionalAuthenticationTokens(access_token, refresh_tokens.csrf_token(refresh_token), refresh_token)
