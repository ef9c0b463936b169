"""createPersonalToken: users make refresh tokens for their own scripts."""

from flask import Blueprint

from auth.core import errors, limits, refresh_tokens, scripts
from auth.core.claims import Bearer
from auth.core.scopes import all_covered, parse_all
from auth.http.request import Request
from auth.http.rpc import USERS, Rpc

blueprint = Blueprint("scripts", __name__)


@Rpc(blueprint, "createPersonalToken", "POST /auth/tokens", USERS, event="personal token")
def create_personal_token(request: Request, bearer: Bearer, body: scripts.NewPersonalToken) -> scripts.PersonalToken:
    if bearer.is_extended:
        raise errors.SessionTokenNeeded("Only a token of the user's own session may make this call.")
    parsed = parse_all(body.scopes)
    if any(scope.segments[0] in ("all", "auth", "special") for scope in parsed):
        raise scripts.ScopeNotForScripts
    if not all_covered(parsed, bearer.scopes):
        raise errors.ScopeNotCovered
    token, scopes = scripts.PREFIX + refresh_tokens.generate(), [str(scope) for scope in parsed]
    stored = request.live_row(
        "script_token_insert",
        token_hash=refresh_tokens.digest(token),
        title=body.title,
        scopes=scopes,
        days=body.days,
        tokens=scripts.TOKENS,
        access_token_lifetime_ms=limits.ACCESS_TOKEN_MS,
        **bearer.parameters(),
    )
    if stored["is_full"]:
        raise scripts.TooManyTokens
    request.details |= {"newSession": stored["public_session_reference"], "scopes": scopes}
    return scripts.PersonalToken(str(stored["public_session_reference"]), token, scopes, stored["expires_at"])
