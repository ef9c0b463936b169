"""Access tokens: JSON Web Tokens (RFC 7519), minted and verified.

The signature is PyJWT's work. The claims are checked here, since the contract is narrower than RFC 7519: one
spelling for a token, one type for a claim.
"""

import json
import math
import re
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

import jwt
import msgspec
from msgspec import UNSET

from auth.core.claims import Bearer, Claims, Grant, identity, provenance
from auth.core.errors import InvalidToken, MalformedScope, UnknownKey
from auth.core.keys import Keyring
from auth.core.limits import LEEWAY_SECONDS
from auth.core.models import Role
from auth.core.principals import is_id
from auth.core.scopes import Scope

_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", re.ASCII)
REMEMBERED_TOKENS: Final = 1024  # by each process, once their signatures are verified
REMEMBERED_CHARACTERS: Final = 4096  # of a token; longer ones would take too much memory
_JSON: Final = json.JSONEncoder(separators=(",", ":"))  # to ASCII, since browsers decode it with atob


class AccessTokens:
    """Mints and verifies access tokens with the keys and the issuer of this deployment."""

    def __init__(self, keyring: Keyring, issuer: str) -> None:
        self.keyring = keyring
        self._issuer = issuer
        self._algorithm = jwt.get_algorithm_by_name(keyring.signing.algorithm)
        header = {"alg": keyring.signing.algorithm, "kid": keyring.signing.kid, "typ": "JWT"}
        self._header = _encoded(_JSON.encode(header))
        self._jws = jwt.PyJWS(algorithms=["ES256", "RS256", "EdDSA"])
        self._remembered = lru_cache(REMEMBERED_TOKENS)(self._read)  # a service sends the same token many times

    def mint(self, principal: Mapping[str, Any], grant: Grant, issued_at: int | None = None) -> str:
        """A signed access token for a row of `principal`, issued now or at that second since the epoch.

        Raises `InvalidToken` when the grant has no time left.
        """
        iat = int(time.time()) if issued_at is None else issued_at
        exp = iat + math.ceil(grant.lifetime_ms / 1000)
        if grant.not_after is not None:
            exp = min(exp, int(grant.not_after))
            if exp <= iat:
                raise InvalidToken
        claims = {
            "iss": self._issuer,
            "sub": principal["id"],
            "iat": iat,
            "exp": exp,
            "aud": list(grant.scopes),
            **identity(principal),
            **provenance(grant),
        }
        signed = f"{self._header}.{_encoded(_JSON.encode(claims))}"
        signature = self._algorithm.sign(signed.encode(), self.keyring.private_key)
        return f"{signed}.{_encoded(signature)}"

    def verify(self, token: str) -> Bearer:
        """The bearer that the access token names. Raises `InvalidToken` for any defect."""
        read = self._remembered if len(token) <= REMEMBERED_CHARACTERS else self._read
        claims, bearer = read(token)
        self._check(claims)
        return bearer

    def _read(self, token: str) -> tuple[Claims, Bearer]:
        """The checks that do not depend on the time: signature and form."""
        try:
            claims = self._claims(token)
            scopes = tuple(Scope.parse(scope) for scope in claims.aud)
        except (jwt.InvalidTokenError, ValueError, RecursionError, MalformedScope):
            raise InvalidToken from None
        return claims, Bearer(
            claims.sub,
            claims.uid or None,
            Role(claims.role),
            scopes,
            max(0, int(claims.iat)),
            claims.exp,
            claims.public_session_reference or None,
            claims.extended_by or None,
            tuple(claims.extended_by_chain),
            claims.extended_from or None,
            claims.jti is not UNSET,
        )

    def _claims(self, token: str) -> Claims:
        if not _TOKEN.fullmatch(token):
            raise InvalidToken
        header = _strict_json(_decoded(token.partition(".")[0]))
        if not _is_plain(header):
            raise InvalidToken
        key = self.keyring.verifying.get(header["kid"])
        if key is None:
            raise UnknownKey
        payload = self._jws.decode(token, key.key, algorithms=[key.algorithm])
        return msgspec.convert(_strict_json(payload), Claims)

    def _check(self, claims: Claims) -> None:
        now = time.time()
        not_before = claims.iat if claims.nbf is UNSET else max(claims.iat, claims.nbf)
        sound = (
            claims.iss == self._issuer
            and claims.exp > now - LEEWAY_SECONDS
            and not_before <= now + LEEWAY_SECONDS
            and all(map(is_id, (claims.sub, *claims.extended_by_chain)))
        )
        if not sound:
            raise InvalidToken


def _is_plain(header: Any) -> bool:
    return isinstance(header, dict) and isinstance(header.get("kid"), str) and "crit" not in header


def _encoded(content: str | bytes) -> str:
    data = content.encode() if isinstance(content, str) else content
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _decoded(segment: str) -> bytes:
    return urlsafe_b64decode(segment + "=" * (-len(segment) % 4))


def _strict_json(text: bytes) -> Any:
    """JSON in UTF-8 in which no object names a member twice. Raises `ValueError`."""
    return json.loads(text.decode(), object_pairs_hook=_unique, parse_float=_finite, parse_constant=_finite)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise ValueError("a member is named twice")
    return members


def _finite(number: str) -> float:
    value = float(number)
    if not math.isfinite(value):
        raise ValueError("not a number of JSON")
    return value
