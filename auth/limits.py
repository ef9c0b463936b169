"""Lifetimes and sizes, in one place: constants and not settings, so that every deployment keeps the same word.

Numbers without a source are the contract's own.
"""

from typing import Final

ACCESS_TOKEN_MS: Final = 10 * 60 * 1000
ONE_TIME_TOKEN_MS: Final = 30 * 1000
EXTENDED_TOKEN_MAX_MS: Final = 24 * 60 * 60 * 1000
EXTENDED_REFRESH_TOKEN_DAYS: Final = 30
CLAIM_DAYS: Final = 30
REFRESH_COOKIE_SECONDS: Final = 30 * 24 * 60 * 60  # where the refresh token itself does not expire
AUTH_STATE_SECONDS: Final = 5 * 60
LEEWAY_SECONDS: Final = 5
JWKS_SECONDS: Final = 5 * 60

ID_CHARACTERS: Final = 255
JTI_CHARACTERS: Final = 255
PASSWORD_BYTES: Final = 1024
USER_AGENT_CHARACTERS: Final = 4096
BODY_BYTES: Final = 2 * 1024 * 1024
SCOPE_CHARACTERS: Final = 1024
SCOPES_PER_REQUEST: Final = 1000  # what a caller may ask for at once; a token near that is of no use anyway

PURGE_ROWS: Final = 100
"""How many expired rows one statement deletes at most, so that no login waits for a clean-up."""
