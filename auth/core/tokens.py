"""Access tokens: JSON Web Tokens (RFC 7519), minted and verified.

The signature is PyJWT's work. The claims are checked here, since the contract is narrower than RFC 7519: one
spelling for a token, one type for a claim.
"""

import json
import math
import re
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

import jwt
import msgspec
from msgspec import UNSET

from auth.core.claims import Bearer, identity
from auth.core.errors import InvalidToken, MalformedScope
from auth.core.keys import Keyring
from auth.core.limits import LEEWAY_SECONDS
from auth.core.principals import is_id

_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", re.ASCII)
CACHED_TOKENS: Final = 1024  # by each process, once their signatures are verified
CACHED_CHARACTERS: Final = 4096  # of a token; longer ones would take too much memory
_JSON: Final = json.JSONEncoder(separators=(",", ":"), default=str)  # to ASCII, since browsers decode it with atob


class AccessTokens:
    """Mints and verifies access tokens with the keys and the issuer of this deployment."""

    def __init__(self, keyring: Keyring, issuer: str) -> None:
        self.keyring = keyring
        self._issuer = issuer
        self._algorithm = jwt.get_algorithm_by_name(keyring.signing.algorithm)
        header = {"alg": keyring.signing.algorithm, "kid": keyring.signing.kid, "typ": "JWT"}
        self._header = _encoded(_JSON.encode(header))
        self._jws = jwt.PyJWS(algorithms=["ES256", "RS256", "EdDSA"])
        self._cached = lru_cache(CACHED_TOKENS)(self._read)  # a service sends the same token many times

    def mint(
        self,
        principal: Mapping[str, Any],
        scopes: Sequence[str],
        lifetime_ms: int,
        *,
        issued_at: int | None = None,
        not_after: float | None = None,
        **provenance: Any,
    ) -> str:
        """A signed access token for a row of `principal`, issued now or at that second since the epoch.

        It ends by `not_after`, in seconds since the epoch; raises `InvalidToken` when no time is left. Claims of
        `provenance` that are None are left out.
        """
        iat = int(time.time()) if issued_at is None else issued_at
        end = math.inf if not_after is None else math.floor(not_after)
        if end <= iat:
            raise InvalidToken
        exp = min(iat + math.ceil(lifetime_ms / 1000), end)
        claims = {"iss": self._issuer, "sub": principal["id"], "iat": iat, "exp": exp, "aud": scopes}
        claims |= identity(principal) | {"extendedByChain": []}
        claims |= {name: value for name, value in provenance.items() if value is not None}
        signed = f"{self._header}.{_encoded(_JSON.encode(claims))}"
        return f"{signed}.{_encoded(self._algorithm.sign(signed.encode(), self.keyring.private_key))}"

    def verify(self, token: str) -> Bearer:
        """The bearer that the access token names. Raises `InvalidToken` for any defect."""
        read = self._cached if len(token) <= CACHED_CHARACTERS else self._read
        bearer, now = read(token), time.time()
        not_before = bearer.iat if bearer.nbf is UNSET else max(bearer.iat, bearer.nbf)
        if bearer.exp <= now - LEEWAY_SECONDS or not_before > now + LEEWAY_SECONDS:
            raise InvalidToken
        return bearer

    def _read(self, token: str) -> Bearer:
        """The checks that do not depend on the time."""
        try:
            bearer = msgspec.convert(self._payload(token), Bearer)
            is_sound = bearer.iss == self._issuer and all(map(is_id, (bearer.principal_id, *bearer.extended_by_chain)))
            if not (is_sound and bearer.scopes):
                raise InvalidToken
        except (jwt.InvalidTokenError, ValueError, RecursionError, MalformedScope):
            raise InvalidToken from None
        return bearer

    def _payload(self, token: str) -> Any:
        """The JSON of the payload, once the signature is verified."""
        if not _TOKEN.fullmatch(token):
            raise InvalidToken
        header = _strict_json(_decoded(token.partition(".")[0]))
        if not isinstance(header, dict) or not isinstance(header.get("kid"), str) or "crit" in header:
            raise InvalidToken
        key = self.keyring.verifying.get(header["kid"])
        if key is None:
            raise InvalidToken(cause="the token names a key that is not among JWT_PRIVATE_KEY and JWT_PUBLIC_KEYS")
        return _strict_json(self._jws.decode(token, key.key, algorithms=[key.algorithm]))


def _encoded(content: str | bytes) -> str:
    data = content.encode() if isinstance(content, str) else content
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _decoded(segment: str) -> bytes:
    return urlsafe_b64decode(segment + "=" * (-len(segment) % 4))


def _strict_json(text: bytes) -> Any:
    """Parse JSON in UTF-8. Raises `ValueError`, also for a member named twice, NaN and Infinity."""
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
