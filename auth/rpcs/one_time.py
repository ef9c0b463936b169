"""requestOneTimeTokenWithAudience and claim: tokens that can be spent once."""

import hashlib
import uuid

from flask import Blueprint

from auth.core.claims import Bearer
from auth.core.errors import AlreadyClaimed, ScopeNotCovered
from auth.core.limits import ONE_TIME_TOKEN_MS
from auth.core.models import ClaimOneTimeToken, OneTimeAccessToken, RequestOneTimeToken, Unit
from auth.core.scopes import all_covered, parse_all
from auth.http.request import Request
from auth.http.rpc import AUTHENTICATED, PRIVILEGED, rpc

blueprint = Blueprint("one_time", __name__)


@rpc(blueprint, "requestOneTimeTokenWithAudience", "POST /auth/request", AUTHENTICATED, event="one-time token")
def request_one_time_token(request: Request, bearer: Bearer, query: RequestOneTimeToken) -> OneTimeAccessToken:
    principal = request.live_row("bearer_find", not_after=bearer.not_after, **bearer.parameters())
    audience = parse_all(query.audience.split(","))
    if not all_covered(audience, bearer.scopes):
        raise ScopeNotCovered
    jti, scopes = str(uuid.uuid4()), [str(scope) for scope in audience]
    request.record.details |= {"jtiHash": _hash(jti), "scopes": scopes}
    access_token = request.tokens.mint(
        principal, scopes, ONE_TIME_TOKEN_MS, not_after=principal["not_after"], jti=jti, **bearer.provenance
    )
    return OneTimeAccessToken(access_token, jti)


@rpc(blueprint, "claim", "POST /auth/claim", PRIVILEGED, event="claim")
def claim(request: Request, bearer: Bearer, query: ClaimOneTimeToken, idempotency_key: str | None) -> Unit:
    request.record.details["jtiHash"] = _hash(query.jti)
    parameters = {"jti": query.jti, **bearer.parameters()}
    if idempotency_key is None:
        claimed = request.live_row("jti_claim_insert", **parameters)
    else:
        key_hash = hashlib.sha256(idempotency_key.encode()).digest()
        claimed = request.live_row("jti_claim_insert_with_key", key_hash=key_hash, **parameters)
    if not claimed["is_first"]:
        raise AlreadyClaimed
    return Unit()


def _hash(jti: str) -> str:
    """SHA-256 of the jti: links request and claim in the log without revealing it."""
    return hashlib.sha256(jti.encode()).hexdigest()
