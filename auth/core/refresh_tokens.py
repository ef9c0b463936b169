"""Refresh tokens: opaque, random, stored only as a digest; the CSRF token is derived and stored nowhere."""

import hashlib
import hmac
import secrets


def generate() -> str:
    """A new refresh token: 256 bits from the system's CSPRNG in 43 URL-safe characters."""
    return secrets.token_urlsafe(32)


def digest(text: str) -> bytes:
    """SHA-256 of a token, a jti or an idempotency key. Tokens need no salt: 256 random bits cannot be guessed."""
    return hashlib.sha256(text.encode()).digest()


def csrf_token(refresh_token: str) -> str:
    """The CSRF token of the refresh token: an HMAC, which does not reveal the refresh token."""
    return hmac.new(refresh_token.encode(), b"X-CSRFToken", hashlib.sha256).hexdigest()


def is_pair(refresh_token: str, csrf: str) -> bool:
    """Whether the CSRF token is that of the refresh token. Compares in constant time."""
    return hmac.compare_digest(csrf_token(refresh_token).encode(), csrf.encode())
