"""tokenExtension: a service gets a token to act for a user, narrower than the user's own."""

from functools import partial
from typing import Any
from uuid import uuid4

from flask import Blueprint

from auth.core import errors, limits, refresh_tokens
from auth.core.claims import Bearer
from auth.core.models import OptionalAuthenticationTokens, Role, TokenExtensionRequest
from auth.core.scopes import Scope, all_covered, parse_all
from auth.core.second_factor import RESTRICTED
from auth.db import Row
from auth.http.request import Request
from auth.http.rpc import PRIVILEGED, Rpc

blueprint = Blueprint("extension", __name__)

RESTRICTED_SCOPES = parse_all(RESTRICTED)


@Rpc(blueprint, "tokenExtension", "POST /auth/extend", PRIVILEGED, event="extension")
def token_extension(request: Request, bearer: Bearer, body: TokenExtensionRequest) -> OptionalAuthenticationTokens:
    if bearer.is_extended:  # its `sub` is a person: the chain would name that person, and not the calling service
        raise errors.InvalidToken
    user = request.tokens.verify(body.valid_jwt)
    if user.is_one_time or user.role is Role.UNKNOWN or user.extended_by == user.principal_id:  # a personal token
        raise errors.InvalidToken
    request.details["user"] = user.principal_id
    tokens = bearer.parameters() | user.parameters("user")
    person = request.live_row("extension_find", **tokens)
    scopes = _allowed_scopes(body, person, user)
    chain = [*user.extended_by_chain, bearer.principal_id]
    if len(chain) > limits.CHAIN_SERVICES:
        raise errors.ChainTooLong
    request.details |= {"scopes": scopes, "refreshes": bool(body.allow_refreshes), "newChain": chain}
    provenance: dict[str, Any] = {"extendedBy": bearer.principal_id, "extendedByChain": chain}
    mint = partial(request.tokens.mint, person, scopes, body.expires_in, **provenance)
    if not body.allow_refreshes:
        source = user.grant_reference if user.is_extended else None
        return OptionalAuthenticationTokens(mint(extendedFrom=source), None, None)
    refresh_token = refresh_tokens.generate()
    session_reference = str(uuid4())
    access_token = mint(publicSessionReference=session_reference)  # nothing is stored if it is too long
    tokens |= {"scopes": scopes, "extended_by_chain": chain, "access_token_lifetime_ms": body.expires_in}
    _store(request, refresh_token, session_reference=session_reference, **tokens)
    return OptionalAuthenticationTokens(access_token, refresh_tokens.csrf_token(refresh_token), refresh_token)


def _allowed_scopes(body: TokenExtensionRequest, person: Row, user: Bearer) -> list[str]:
    """The scopes asked for, checked in the order of the contract."""
    if not 1 <= body.expires_in <= limits.EXTENDED_TOKEN_MAX_MS:
        raise errors.InvalidExpiresIn
    scopes = parse_all(body.requested_scopes)
    if not all_covered(scopes, [Scope.parse(scope) for scope in person["policy"]]):
        raise errors.ScopeNotInPolicy
    if any(scope.segments[0] in ("all", "special") for scope in scopes):
        raise errors.ScopeNotExtendable
    if all_covered(user.scopes, RESTRICTED_SCOPES) or not all_covered(scopes, user.scopes):
        raise errors.ScopeNotCovered
    return [str(scope) for scope in scopes]


def _store(request: Request, refresh_token: str, **parameters: Any) -> None:
    parameters |= {"token_hash": refresh_tokens.digest(refresh_token), "ttl_days": limits.EXTENDED_REFRESH_TOKEN_DAYS}
    if request.live_row("extension_insert", delegations=limits.DELEGATIONS, **parameters)["is_full"]:
        raise errors.TooManyDelegations
    request.details["newSession"] = parameters["session_reference"]
