"""requestOneTimeTokenWithAudience and claim: tokens that are good for one use."""

import hashlib
import uuid

from flask import Blueprint

from . import audit
from .current import db, tokens
from .errors import AlreadyClaimed, InvalidToken, ScopeNotCovered
from .limits import ONE_TIME_TOKEN_MS
from .models import ClaimOneTimeToken, OneTimeAccessToken, RequestOneTimeToken, Unit
from .rpc import AUTHENTICATED, PRIVILEGED, Rpc
from .scopes import Access, all_covered, parse_all
from .tokens import Bearer, Grant

blueprint = Blueprint("one_time", __name__)

REQUEST_ONE_TIME_TOKEN = Rpc(
    name="requestOneTimeTokenWithAudience",
    method="POST",
    path="/auth/request",
    roles=AUTHENTICATED,
    credential="access token",
    event="one-time token",
    access=Access.WRITE,
    query=RequestOneTimeToken,
    response=OneTimeAccessToken,
    errors=(400, 401, 413, 503),
)
CLAIM = Rpc(
    name="claim",
    method="POST",
    path="/auth/claim",
    roles=PRIVILEGED,
    credential="access token",
    event="claim",
    access=Access.WRITE,
    query=ClaimOneTimeToken,
    response=Unit,
    errors=(400, 401, 409, 413, 503),
)


@REQUEST_ONE_TIME_TOKEN.register(blueprint)
def request_one_time_token(bearer: Bearer, query: RequestOneTimeToken) -> OneTimeAccessToken:
    principal = db().one("bearer_find", not_after=bearer.not_after, **bearer.parameters())
    if principal is None:
        raise InvalidToken
    audience = parse_all(query.audience.split(","))
    if not all_covered(audience, bearer.scopes):
        raise ScopeNotCovered
    jti = str(uuid.uuid4())
    audit.details(jtiHash=_hash(jti), scopes=[str(scope) for scope in audience])
    grant = Grant(
        [str(scope) for scope in audience],
        ONE_TIME_TOKEN_MS,
        bearer.session_reference,
        bearer.extended_by,
        bearer.extended_by_chain,
        bearer.extended_from,
        jti,
        principal["not_after"],
    )
    return OneTimeAccessToken(tokens().mint(principal, grant), jti)


@CLAIM.register(blueprint)
def claim(bearer: Bearer, query: ClaimOneTimeToken) -> Unit:
    audit.details(jtiHash=_hash(query.jti))
    claimed = db().one("jti_claim_insert", jti=query.jti, **bearer.parameters())
    if claimed is None:
        raise InvalidToken
    if not claimed["is_first"]:
        raise AlreadyClaimed
    return Unit()


def _hash(jti: str) -> str:
    """What the audit log calls it: the request and the claim of a token are found together, and nobody claims by it."""
    return hashlib.sha256(jti.encode()).hexdigest()
