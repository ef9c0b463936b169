"""What anyone may read: the public keys."""

import msgspec
from flask import Blueprint, Response

from .current import tokens
from .limits import JWKS_SECONDS

blueprint = Blueprint("well_known", __name__)


@blueprint.get("/.well-known/jwks.json")
def jwks() -> Response:
    """The keys that verify access tokens, for any JOSE library."""
    body = msgspec.json.encode(tokens().keyring.jwks())
    response = Response(body, mimetype="application/jwk-set+json")
    response.headers["Cache-Control"] = f"public, max-age={JWKS_SECONDS}"
    response.headers["Access-Control-Allow-Origin"] = "*"
    return response
