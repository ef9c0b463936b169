"""OAuth 2.0: the forms, answers, error codes and metadata of its endpoints."""

import re
from base64 import b64decode
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final
from urllib.parse import unquote_plus

import jwt
from msgspec import Struct

from auth.core import errors
from auth.core.models import TokenExtensionRequest

EXCHANGE: Final = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN_TYPE: Final = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105 - RFC 8693, 3
TOKEN_TYPES: Final = {ACCESS_TOKEN_TYPE, "urn:ietf:params:oauth:token-type:jwt"}
OFFLINE_ACCESS: Final = "offline_access"  # the scope that asks for a refresh token
EXCHANGED_TOKEN_MS: Final = 600_000  # the lifetime of an exchanged access token
CLIENT_METHODS: Final = ["client_secret_basic", "client_secret_post"]
WELL_KNOWN: Final = "/.well-known/oauth-authorization-server"
_ISSUER: Final = re.compile(r"(?:https://[^/?#]+|http://(?:localhost|127\.[0-9.]+|\[::1\])(?::[0-9]+)?)(/[^?#]*)?")
# All other characters are percent-encoded, `%` and `,` too, so that two ids or two chains never look alike.
VISIBLE: Final = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in "%,")


class ClientForm(Struct):
    client_id: str = ""
    client_secret: str = ""


class TokenForm(ClientForm, kw_only=True):
    grant_type: str
    scope: str = ""
    refresh_token: str = ""
    subject_token: str = ""
    subject_token_type: str = ""
    requested_token_type: str = ACCESS_TOKEN_TYPE
    actor_token: str = ""
    audience: str = ""
    resource: str = ""


class TokenIntrospection(ClientForm, kw_only=True):
    token: str


class TokenRevocation(Struct):
    token: str


class VerifyRequest(Struct):
    scope: str = ""


class TokenAnswer(Struct, omit_defaults=True):
    access_token: str
    token_type: str
    expires_in: int  # seconds
    scope: str
    refresh_token: str | None = None
    issued_token_type: str | None = None


class InvalidClient(errors.ApiError, status=401):
    """The client_id or the client_secret is wrong."""

    headers = {"WWW-Authenticate": "Basic"}


class UnsupportedGrantType(errors.BadRequest):
    """This grant_type is not supported."""


_SCOPES: Final = (errors.MalformedScope, errors.ScopeNotCovered, errors.ScopeNotExtendable, errors.ScopeNotInPolicy)
CODES: Final[dict[str, Any]] = {  # RFC 6749, 5.2. The first one that fits counts, so the base class is last.
    "invalid_client": InvalidClient,
    "unsupported_grant_type": UnsupportedGrantType,
    "invalid_scope": _SCOPES,
    "invalid_grant": errors.Unauthorized,
    "temporarily_unavailable": errors.Unavailable,
    "invalid_request": errors.ApiError,
}


def basic_credentials(encoded: str) -> ClientForm:
    """The id and the secret of a Basic header (RFC 6749, 2.3.1). Both are empty if it cannot be read."""
    with suppress(ValueError):
        client_id, _, secret = b64decode(encoded, validate=True).decode().partition(":")
        return ClientForm(unquote_plus(client_id), unquote_plus(secret))
    return ClientForm()


def extension_request(form: TokenForm) -> TokenExtensionRequest:
    """The token exchange (RFC 8693) as an extension. Raises `InvalidRequest` for other types of tokens."""
    if not form.subject_token or not {form.subject_token_type, form.requested_token_type} <= TOKEN_TYPES:
        raise errors.InvalidRequest(f"A token exchange needs a subject_token of the type {ACCESS_TOKEN_TYPE}.")
    scopes = form.scope.split()
    asked = [scope for scope in scopes if scope != OFFLINE_ACCESS]
    return TokenExtensionRequest(form.subject_token, asked, EXCHANGED_TOKEN_MS, OFFLINE_ACCESS in scopes)


def token_answer(access_token: str, *others: str | None) -> TokenAnswer:
    claims: Any = jwt.decode(access_token, options={"verify_signature": False})
    return TokenAnswer(access_token, "Bearer", claims["exp"] - claims["iat"], " ".join(claims["aud"]), *others)


def introspection(access_token: str) -> dict[str, Any]:
    """The answer about a live access token (RFC 7662, 2.2)."""
    claims: Any = jwt.decode(access_token, options={"verify_signature": False})
    client = {"client_id": chain[-1]} if (chain := claims.get("extendedByChain")) else {}
    names = {"username": claims["sub"], "scope": " ".join(claims["aud"])}
    return {**claims, "active": True, "token_type": "Bearer", **names, **client}


def actor(chain: Sequence[str]) -> dict[str, Any]:
    """The claim `act` (RFC 8693, 4.1): the last service of the chain outermost, the first one innermost."""
    *others, last = chain
    return {"sub": last} | ({"act": actor(others)} if others else {})


def metadata(issuer: str, path: str) -> dict[str, Any]:
    """The metadata of RFC 8414. Raises `NotFound` if the issuer is no URL, or has its metadata at another path."""
    base = issuer.rstrip("/")
    url = _ISSUER.fullmatch(base)
    if url is None or path != WELL_KNOWN + (url[1] or ""):
        raise errors.NotFound
    return {
        "issuer": issuer,
        "token_endpoint": f"{base}/auth/oauth/token",
        "introspection_endpoint": f"{base}/auth/oauth/introspect",
        "revocation_endpoint": f"{base}/auth/oauth/revoke",
        "jwks_uri": f"{base}/.well-known/jwks.json",
        "grant_types_supported": ["client_credentials", "refresh_token", EXCHANGE],
        "token_endpoint_auth_methods_supported": [*CLIENT_METHODS, "none"],
        "introspection_endpoint_auth_methods_supported": CLIENT_METHODS,
        "revocation_endpoint_auth_methods_supported": ["none"],
        "response_types_supported": ["none"],
    }
