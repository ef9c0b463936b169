"""The public keys, for any JOSE library."""

import msgspec
from flask import Blueprint

from auth.core.limits import JWKS_SECONDS
from auth.http.request import current_request
from auth.http.responses import Response

blueprint = Blueprint("well_known", __name__)


@blueprint.get("/.well-known/jwks.json")
def jwks() -> Response:
    body = msgspec.json.encode(current_request().tokens.keyring.jwks())
    response = Response(body, mimetype="application/jwk-set+json")
    response.headers["Cache-Control"] = f"public, max-age={JWKS_SECONDS}"
    response.headers["Access-Control-Allow-Origin"] = "*"
    return response
