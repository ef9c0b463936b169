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
    user = _verified_user(body.valid_jwt)
    audit.details(user=user.principal_id)
    person = _living_person(user, bearer)
    if not 1 <= body.expires_in <= EXTENDED_TOKEN_MAX_MS:
        raise InvalidExpiresIn
    scopes = parse_all(body.requested_scopes)
    _check_scopes(scopes, [Scope.parse(scope) for scope in person["policy"]], user)
    chain = (*user.extended_by_chain, bearer.principal_id)
    audit.details(scopes=[str(scope) for scope in scopes], refreshes=bool(body.allow_refreshes), newChain=list(chain))
    grant = Grant([str(scope) for scope in scopes], body.expires_in, None, bearer.principal_id, chain)
    if body.allow_refreshes:
        return _refreshable(person, grant)
    return OptionalAuthenticationTokens(tokens().mint(person, grant), None, None)


def _verified_user(valid_jwt: str) -> Bearer:
    user = tokens().verify(valid_jwt)
    if user.is_one_time or user.role is Role.UNKNOWN:
        raise InvalidToken
    return user


def _living_person(user: Bearer, bearer: Bearer) -> Row:
    person = db().one("extension_find", principal_id=user.principal_id, service_id=bearer.principal_id)
    if person is None:
        raise InvalidToken
    return person


def _check_scopes(scopes: list[Scope], policy: list[Scope], user: Bearer) -> None:
    if not all_covered(scopes, policy):
        raise ScopeNotInPolicy
    if any(scope.segments[0] in ("all", "special") for scope in scopes):
        raise ScopeNotExtendable
    if not all_covered(scopes, user.scopes):
        raise ScopeNotCovered


def _refreshable(person: Row, grant: Grant) -> OptionalAuthenticationTokens:
    refresh_token = refresh_tokens.generate()
    stored = db().one(
        "refresh_token_insert_extended",
        token_hash=refresh_tokens.digest(refresh_token),
        principal_id=person["id"],
        scopes=list(grant.scopes),
        access_token_lifetime_ms=grant.lifetime_ms,
        extended_by=grant.extended_by,
        extended_by_chain=list(grant.extended_by_chain),
        ttl_days=EXTENDED_REFRESH_TOKEN_DAYS,
    )
    if stored is None:  # one of the two was disabled or deleted a moment ago
        raise InvalidToken
    audit.details(newSession=str(stored["public_session_reference"]))
    access_token = tokens().mint(person, replace(grant, session_reference=stored["public_session_reference"]))
    return OptionalAuthenticationTokens(access_token, refresh_tokens.csrf_token(refresh_token), refresh_token)
