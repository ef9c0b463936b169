"""Lifetimes and sizes. They are constants and not settings, so that all deployments behave alike."""

from typing import Final

ACCESS_TOKEN_MS: Final = 10 * 60 * 1000
ONE_TIME_TOKEN_MS: Final = 30 * 1000
EXTENDED_TOKEN_MAX_MS: Final = 24 * 60 * 60 * 1000
EXTENDED_REFRESH_TOKEN_DAYS: Final = 30
CLAIM_DAYS: Final = 30
USE_SECONDS: Final = 5 * 60  # the last use of a refresh token is noted at most once in this time
RESET_TOKEN_MINUTES: Final = 30
IDLE_TIMEOUT_MINIMUM_SECONDS: Final = 600
REFRESH_COOKIE_SECONDS: Final = 30 * 24 * 60 * 60  # the cookie of a refresh token that does not expire
AUTH_STATE_SECONDS: Final = 5 * 60
LEEWAY_SECONDS: Final = 5
JWKS_SECONDS: Final = 5 * 60

ID_CHARACTERS: Final = 255
NAME_CHARACTERS: Final = 100  # the access tokens of most people then fit into authState
AUTH_STATE_CHARACTERS: Final = 3_950  # browsers keep 4,096 bytes of a cookie, some count its name and attributes
PASSWORD_BYTES: Final = 1024
USER_AGENT_CHARACTERS: Final = 4096
BODY_BYTES: Final = 4 * 1024  # the limit of calls that take no body
MODEL_BODY_BYTES: Final = 64 * 1024  # a token and scopes on indented lines; parsing a form of this size is expensive
BULK_BODY_BYTES: Final = 2 * 1024 * 1024  # some 40,000 refresh tokens
COOKIE_CHARACTERS: Final = 16 * 1024  # the limit of one Cookie header; browsers send about 4,096 for a cookie
SCOPE_CHARACTERS: Final = 1024
SCOPES_PER_REQUEST: Final = 1000
SCOPES_BYTES: Final = 16 * 1024  # all scopes of a request together
TOKEN_CHARACTERS: Final = 32_000  # an access token must fit into a header line, of 32,768 bytes in gunicorn.conf.py

SESSIONS: Final = 1000  # the most live sessions of a person; a further login ends the oldest
DELEGATIONS: Final = 100  # the most live delegations of a person that a service holds
CHAIN_SERVICES: Final = 8  # the most services in extendedByChain

PURGE_ROWS: Final = 100  # the most expired rows that one statement deletes, so that no login waits for long

LOCKOUT: Final = {
    "pair_failures": 5,  # this many failures of one network for one username start a cooldown
    "window_seconds": 5 * 60,  # failures of a pair or a network count for this long
    "most_severe": 5,  # a cooldown lasts 5 to the power of its severity, in seconds
    "severity_seconds": 60 * 60,  # a cooldown within this time after another one is more severe
    "wide_failures": 100,  # this many failures of one network, or for one username, block it
    "username_window_seconds": 60 * 60,
    "memory_seconds": 2 * 60 * 60,  # the longest cooldown and its hour take 112 minutes
}
