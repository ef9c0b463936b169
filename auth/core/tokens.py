"""Access tokens: JSON Web Tokens (RFC 7519). PyJWT checks the signature; the claims are checked here, more strictly."""

import json
import math
import re
import time
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

import jwt
import msgspec
from jwt.utils import base64url_decode, base64url_encode

from auth.core.claims import Bearer, identity, is_id
from auth.core.errors import InvalidRequest, InvalidToken, MalformedScope
from auth.core.keys import ALGORITHMS, Keyring
from auth.core.limits import LEEWAY_SECONDS, TOKEN_CHARACTERS
from auth.core.oauth import actor
from auth.core.scopes import Scope
from auth.core.second_factor import allowed_scopes

Row = Mapping[str, Any]
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", re.ASCII)
CACHED_CHARACTERS: Final = 4096  # longer tokens are not cached, since they take too much memory


class AccessTokens:
    def __init__(self, keyring: Keyring, issuer: str, second_factor_required: Collection[str] = ()) -> None:
        self.keyring = keyring
        self._required = second_factor_required
        self._issuer = issuer
        self._algorithm = jwt.get_algorithm_by_name(keyring.signing.algorithm)
        self._header = _encoded({"alg": keyring.signing.algorithm, "kid": keyring.signing.kid, "typ": "JWT"})
        self._jws = jwt.PyJWS(algorithms=ALGORITHMS)
        self._cached = lru_cache(1024)(self._read)  # a service sends the same token many times

    def mint(
        self, principal: Row, scopes: Sequence[str], lifetime_ms: int, asked: Sequence[Scope] = (), **more: Any
    ) -> str:
        """A signed access token for a row of `principal`. `asked`: narrow the scopes to these. `more`: further claims.

        The row's `issued_at` (default: now) and `not_after` are seconds since the epoch. The token ends by `not_after`.
        Raises `InvalidToken` if that has passed, `ScopeNotCovered`, and `InvalidRequest` if the token is too long.
        """
        iat, not_after = principal.get("issued_at") or int(time.time()), principal.get("not_after")
        end = math.inf if not_after is None else math.floor(not_after)
        if end <= iat:
            raise InvalidToken
        exp = min(iat + math.ceil(lifetime_ms / 1000), end)
        claims = identity(principal, self._required)
        aud = allowed_scopes(claims, scopes, asked)
        chain = claims["extendedByChain"] = more.get("extendedByChain", ())
        if chain and chain[-1] != principal["id"]:  # not a personal token
            more["act"] = actor(chain)
        claims |= more
        return self._signed({"iss": self._issuer, "sub": principal["id"], "iat": iat, "exp": exp, "aud": aud, **claims})

    def _signed(self, claims: dict[str, Any]) -> str:
        """The token. Claims that are None are left out."""
        for absent in [name for name, value in claims.items() if value is None]:
            del claims[absent]
        signed = self._header + b"." + _encoded(claims)
        token = (signed + b"." + base64url_encode(self._algorithm.sign(signed, self.keyring.private_key))).decode()
        if len(token) > TOKEN_CHARACTERS:
            raise InvalidRequest("The token is too long for the header of a later request. Ask for fewer scopes.")
        return token

    def verify(self, token: str) -> Bearer:
        """The bearer that the access token names. Raises `InvalidToken` for any defect."""
        bearer = self._cached(token) if len(token) <= CACHED_CHARACTERS else self._read(token)
        now = time.time()
        if bearer.exp <= now - LEEWAY_SECONDS or max(bearer.iat, bearer.nbf) > now + LEEWAY_SECONDS:
            raise InvalidToken
        return bearer

    def _read(self, token: str) -> Bearer:
        """The checks that do not depend on the time."""
        try:
            bearer = msgspec.convert(self._payload(token), Bearer)
            ids = (bearer.principal_id, bearer.extended_by or bearer.principal_id, *bearer.extended_by_chain)
            if bearer.iss == self._issuer and all(map(is_id, ids)) and bearer.scopes:
                return bearer
        except (jwt.InvalidTokenError, ValueError, RecursionError, MalformedScope):
            pass
        raise InvalidToken

    def _payload(self, token: str) -> Any:
        if not _TOKEN.fullmatch(token):
            raise InvalidToken
        header = _strict_json(base64url_decode(token.partition(".")[0]))
        if not isinstance(header, dict) or not isinstance(header.get("kid"), str) or "crit" in header:
            raise InvalidToken
        key = self.keyring.verifying.get(header["kid"])
        if key is None:
            raise InvalidToken(cause="the token names a key that is not among JWT_PRIVATE_KEY and JWT_PUBLIC_KEYS")
        return _strict_json(self._jws.decode(token, key.key, algorithms=[key.algorithm]))


def _encoded(content: Mapping[str, Any]) -> bytes:
    """In base64url, as JSON in ASCII, since browsers decode it with `atob`."""
    encoded = msgspec.json.encode(content)
    if not encoded.isascii():  # msgspec does not escape other characters
        encoded = json.dumps(json.loads(encoded), separators=(",", ":")).encode()
    return base64url_encode(encoded)


def _strict_json(text: bytes) -> Any:
    """Parse JSON in UTF-8. Raises `ValueError`, also for a member named twice, NaN and Infinity."""
    msgspec.json.decode(text)  # refuses all of these but a member named twice
    return json.loads(text, object_pairs_hook=_unique)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise ValueError("a member is named twice")
    return members
