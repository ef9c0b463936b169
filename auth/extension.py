"""tokenExtension: a service gets a token to act for a user, narrower than the user's own."""

from dataclasses import replace

from flask import Blueprint

from . import audit, refresh_tokens
from .current import db, tokens
from .db import Row
from .errors import InvalidExpiresIn, InvalidToken, ScopeNotCovered, ScopeNotExtendable, ScopeNotInPolicy
from .limits import EXTENDED_REFRESH_TOKEN_DAYS, EXTENDED_TOKEN_MAX_MS
from .models import OptionalAuthenticationTokens, Role, TokenExtensionRequest
from .rpc import PRIVILEGED, Rpc
from .scopes import Access, Scope, all_covered, parse_all
from .tokens import Bearer, Grant

blueprint = Blueprint("extension", __name__)

TOKEN_EXTENSION = Rpc(
    name="tokenExtension",
    method="POST",
    path="/auth/extend",
    roles=PRIVILEGED,
    credential="access token",
    event="extension",
    access=Access.WRITE,
    body=TokenExtensionRequest,
    response=OptionalAuthenticationTokens,
    errors=(400, 401, 413, 415, 503),
)


@TOKEN_EXTENSION.register(blueprint)
def token_extension(bearer: Bearer, body: TokenExtensionRequest) -> OptionalAuthenticationTokens:
    if bearer.is_extended:  # a service speaks for itself here, or the chain would not name it
        raise InvalidToken
    user = _verified_user(body.valid_jwt)
    audit.details(user=user.principal_id)
    person = db().one("extension_find", **bearer.parameters(), **user.parameters("user"))
    if person is None:
        raise InvalidToken
    if not 1 <= body.expires_in <= EXTENDED_TOKEN_MAX_MS:
        raise InvalidExpiresIn
    scopes = parse_all(body.requested_scopes)
    _check_scopes(scopes, [Scope.parse(scope) for scope in person["policy"]], user)
    chain = (*user.extended_by_chain, bearer.principal_id)
    audit.details(scopes=[str(scope) for scope in scopes], refreshes=bool(body.allow_refreshes), newChain=list(chain))
    grant = Grant([str(scope) for scope in scopes], body.expires_in, None, bearer.principal_id, chain)
    refresh_token = refresh_tokens.generate() if body.allow_refreshes else None
    extended = _extend(bearer, user, grant, refresh_token)
    access_token = tokens().mint(person, _bounded(grant, user, extended), extended["issued_at"])
    csrf = None if refresh_token is None else refresh_tokens.csrf_token(refresh_token)
    return OptionalAuthenticationTokens(access_token, csrf, refresh_token)


def _verified_user(valid_jwt: str) -> Bearer:
    user = tokens().verify(valid_jwt)
    if user.is_one_time or user.role is Role.UNKNOWN:
        raise InvalidToken
    return user


def _check_scopes(scopes: list[Scope], policy: list[Scope], user: Bearer) -> None:
    if not all_covered(scopes, policy):
        raise ScopeNotInPolicy
    if any(scope.segments[0] in ("all", "special") for scope in scopes):
        raise ScopeNotExtendable
    if not all_covered(scopes, user.scopes):
        raise ScopeNotCovered


def _extend(bearer: Bearer, user: Bearer, grant: Grant, refresh_token: str | None) -> Row:
    extended = db().one(
        "extension_insert",
        **bearer.parameters(),
        **user.parameters("user"),
        user_is_extended=user.is_extended,
        not_after=user.not_after,
        token_hash=None if refresh_token is None else refresh_tokens.digest(refresh_token),
        scopes=list(grant.scopes),
        access_token_lifetime_ms=grant.lifetime_ms,
        extended_by_chain=list(grant.extended_by_chain),
        ttl_days=EXTENDED_REFRESH_TOKEN_DAYS,
    )
    if extended is None:  # something that it is made from ended a moment ago
        raise InvalidToken
    return extended


def _bounded(grant: Grant, user: Bearer, extended: Row) -> Grant:
    """The grant with its end and the stored token it names: its own, or else the delegation that it was made from."""
    reference = extended["public_session_reference"]
    if reference is not None:
        audit.details(newSession=str(reference))
        return replace(grant, session_reference=reference, not_after=extended["not_after"])
    source = user.parameters("user")["user_reference"] if user.is_extended else None
    return replace(grant, extended_from=source, not_after=extended["not_after"])
