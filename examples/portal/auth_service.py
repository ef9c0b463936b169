"""The authentication service as the portal's server uses it: verify tokens, spend them, and act for a user."""

import json
import secrets
import time
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import Request, urlopen

import jwt
from werkzeug.exceptions import Conflict, ServiceUnavailable, Unauthorized

REFUSED = "The token is missing, has expired, or is not for this."


class AuthService:
    """The service at that URL, for a service that has that refresh token."""

    def __init__(self, url: str, refresh_token: str) -> None:
        self.url = url
        self._refresh_token = refresh_token
        self._keys = jwt.PyJWKClient(f"{url}/.well-known/jwks.json")  # fetched every five minutes
        self._own_token, self._own_token_ends = "", 0.0

    def claims(self, token: str, scope: str, one_time: bool = False) -> dict[str, Any]:
        """The claims of a token that covers the scope. No call is made, except for keys that are not known yet.

        Raises `Unauthorized` for any other token, and `ServiceUnavailable` where the keys cannot be fetched.
        """
        try:
            key = self._keys.get_signing_key_from_jwt(token)
            options: Any = {"require": ["exp", "iat", "sub", "role", "aud"], "verify_aud": False}
            claims = jwt.decode(token, key, [key.algorithm_name], options, issuer="cloud.sdu.dk", leeway=5)
        except jwt.PyJWKClientConnectionError:
            raise ServiceUnavailable from None
        except jwt.PyJWTError:
            raise Unauthorized(REFUSED) from None
        if ("jti" in claims) != one_time or not any(covers(held, scope) for held in claims["aud"]):
            raise Unauthorized(REFUSED)
        return claims

    def spend(self, jti: str) -> None:
        """Claim a one-time token. Raises `Conflict` if it was spent before, `ServiceUnavailable` if it is unknown.

        The same key is sent again after a lost answer, so that a claim which succeeded succeeds again.
        """
        key = secrets.token_urlsafe()
        for pause in (0.2, 1, None):
            try:
                self._post(f"/auth/claim?jti={quote(jti, safe='')}", self._token(), {"Idempotency-Key": key})
                return
            except ServiceUnavailable:
                if pause is None:
                    raise
                time.sleep(pause)

    def extend(self, user_token: str, *scopes: str) -> str:
        """The refresh token of a delegation: with it this service acts for the user until either of them ends it."""
        asked = {"validJWT": user_token, "requestedScopes": scopes, "expiresIn": 60_000, "allowRefreshes": True}
        answer = self._post("/auth/extend", self._token(), {"Content-Type": "application/json"}, asked)
        return str(answer["refreshToken"])

    def refresh(self, refresh_token: str) -> str:
        """A new access token. Raises `Unauthorized` where the session or delegation has ended."""
        return str(self._post("/auth/refresh", refresh_token)["accessToken"])

    def _token(self) -> str:
        """This service's own access token. One serves many calls."""
        if time.monotonic() > self._own_token_ends:
            self._own_token = self.refresh(self._refresh_token)
            self._own_token_ends = time.monotonic() + 9 * 60  # it lives for ten minutes
        return self._own_token

    def _post(self, path: str, token: str, headers: dict[str, str] | None = None, body: Any = None) -> Any:
        """The JSON of a success. A 401 and a 409 are final; after any other error the outcome is unknown."""
        data = b"" if body is None else json.dumps(body).encode()
        sent = {"Authorization": f"Bearer {token}", **(headers or {})}
        try:
            with urlopen(Request(self.url + path, data, sent, method="POST"), timeout=10) as answer:
                return json.load(answer)
        except HTTPError as error:
            error.close()
            if error.code == 409:
                raise Conflict("This token has been used before.") from None
            raise (Unauthorized if error.code == 401 else ServiceUnavailable) from None
        except (OSError, ValueError):
            raise ServiceUnavailable from None


def covers(held: str, asked: str) -> bool:
    """Whether the held scope grants everything that the asked scope grants: the rule of `Scope.covered_by`."""
    held_path, held_access, held_pairs = _parts(held)
    path, access, pairs = _parts(asked)
    return (
        (held_access == "write" or access == "read")
        and held_pairs <= pairs
        and ((held_path[0] == "all" and path[0] != "special") or path[: len(held_path)] == held_path)
    )


def _parts(scope: str) -> tuple[list[str], str, set[str]]:
    path, access, *metadata = scope.split(":")
    return path.split("."), access, {pair for text in metadata for pair in text.split(",")}
