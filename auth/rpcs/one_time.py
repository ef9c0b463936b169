"""requestOneTimeTokenWithAudience and claim: tokens that can be spent once."""

import uuid

from flask import Blueprint

from auth.core import errors, scopes
from auth.core.claims import Bearer
from auth.core.limits import ONE_TIME_TOKEN_MS
from auth.core.models import ClaimOneTimeToken, OneTimeAccessToken, RequestOneTimeToken
from auth.core.refresh_tokens import digest
from auth.http.request import Request
from auth.http.rpc import AUTHENTICATED, PRIVILEGED, Rpc

blueprint = Blueprint("one_time", __name__)


@Rpc(blueprint, "requestOneTimeTokenWithAudience", "POST /auth/request", AUTHENTICATED, event="one-time token")
def request_one_time_token(request: Request, bearer: Bearer, query: RequestOneTimeToken) -> OneTimeAccessToken:
    principal = request.live_row("bearer_find", **bearer.parameters())
    asked = scopes.parse_all(query.audience.split(","))
    if not scopes.all_covered(asked, bearer.scopes):
        raise errors.ScopeNotCovered
    audience = [str(scope) for scope in asked]
    jti = str(uuid.uuid4())
    request.details |= {"jtiHash": digest(jti).hex(), "scopes": audience}
    access_token = request.tokens.mint(principal, audience, ONE_TIME_TOKEN_MS, jti=jti, **bearer.provenance)
    return OneTimeAccessToken(access_token, jti)


@Rpc(blueprint, "claim", "POST /auth/claim", PRIVILEGED, event="claim")
def claim(request: Request, bearer: Bearer, query: ClaimOneTimeToken, idempotency_key: str | None) -> None:
    request.details["jtiHash"] = digest(query.jti).hex()
    key_hash = idempotency_key and digest(idempotency_key)
    statement = "jti_claim_insert_with_key" if key_hash else "jti_claim_insert"
    if not request.live_row(statement, jti=query.jti, key_hash=key_hash, **bearer.parameters())["is_first"]:
        raise errors.AlreadyClaimed
