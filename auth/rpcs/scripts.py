"""createPersonalToken: a user makes a refresh token for a script, as a delegation to themselves."""

from typing import Annotated, Final

from flask import Blueprint
from msgspec import Meta, Struct
from msgspec.structs import asdict

from auth.core import errors, limits, refresh_tokens
from auth.core.claims import Bearer
from auth.core.models import NO_NUL
from auth.core.scopes import all_covered, parse_all
from auth.http.request import Request
from auth.http.rpc import USERS, Rpc

blueprint = Blueprint("scripts", __name__)

TOKENS: Final = 100  # the most live ones of a person
PREFIX: Final = "uap_"  # secret scanners look for uap_[A-Za-z0-9_-]{43}


class NewPersonalToken(Struct):
    title: Annotated[str, Meta(min_length=1, max_length=100, pattern=NO_NUL)]
    scopes: Annotated[list[str], Meta(min_length=1)]
    days: Annotated[int, Meta(ge=1, le=366)] = 30


class PersonalToken(Struct, rename="camel"):
    id: str  # the publicSessionReference of its access tokens
    token: str
    scopes: list[str]
    expires_at: int  # milliseconds since the epoch


class TooManyTokens(errors.BadRequest):
    """You have 100 personal tokens. End one of them first."""


class ScopeNotForScripts(errors.Unauthorized):
    """Scopes in 'all', 'auth' and 'special' cannot be given to a personal token."""


@Rpc(blueprint, "createPersonalToken", "POST /auth/tokens", USERS, event="personal token")
def create_personal_token(request: Request, bearer: Bearer, body: NewPersonalToken) -> PersonalToken:
    if bearer.is_extended:
        raise errors.SessionTokenNeeded("Only a token of the user's own session may make this call.")
    parsed = parse_all(body.scopes)
    if any(scope.segments[0] in ("all", "auth", "special") for scope in parsed):
        raise ScopeNotForScripts
    if not all_covered(parsed, bearer.scopes):
        raise errors.ScopeNotCovered
    token, scopes = PREFIX + refresh_tokens.generate(), [str(scope) for scope in parsed]
    values = asdict(body) | {"scopes": scopes, "token_hash": refresh_tokens.digest(token), "tokens": TOKENS}
    values["access_token_lifetime_ms"] = limits.ACCESS_TOKEN_MS
    stored = request.live_row("script_token_insert", **values, **bearer.parameters())
    if stored["is_full"]:
        raise TooManyTokens
    request.details |= {"newSession": stored["public_session_reference"], "scopes": scopes}
    return PersonalToken(str(stored["public_session_reference"]), token, scopes, stored["expires_at"])
