"""Where answers differ from those of release 1.1.0 on purpose. docs/CHANGELOG.md lists all but those marked *."""

from typing import Final

# Texts that were replaced in all recorded answers: old, new, reason.
TEXTS: Final = [
    (
        "Access-Control-Allow-Headers: Authorization, Content-Type, Idempotency-Key, X-CSRFToken, X-Request-Id\n",
        "Access-Control-Allow-Headers: Authorization, Content-Type, Idempotency-Key, X-CSRFToken, X-Request-Id,"
        " traceparent, tracestate, baggage, sentry-trace\n",
        "preflights allow the headers of tracing",
    ),
]

_DOCUMENT: Final = "* the schema of an error is repeated in each call"
_PATHS: Final = "a path has one spelling; any other is 404"
_SIZES: Final = "the longest body depends on the call"
_CHAINS: Final = "a chain has at most 8 services"

# Calls whose recorded answer is the new one, and the reason.
ANSWERS: Final = {
    "openapi": _DOCUMENT,
    "HEAD /openapi.json": _DOCUMENT,
    **dict.fromkeys(
        [
            *("path //auth/login", "path /auth/%6cogin", "path /auth%2flogin", "path //livez", "path /%6civez"),
            *("path http://auth.example.org/auth/login", "path http://auth.example.org/livez"),
            *("end session %00", "end delegation %00"),
        ],
        _PATHS,
    ),
    **dict.fromkeys(
        [
            *("body of /auth/login: 2 MiB and more", "body of /auth/refresh: 2 MiB and more", "body of bulk: too long"),
            *("body of refresh: 4097 bytes", "body of refresh: 65536 bytes", "body of refresh: 65537 bytes"),
            *("body of login: 65537 bytes", "body of resetPassword: 65537 bytes", "body of a GET, too long"),
        ],
        _SIZES,
    ),
    **dict.fromkeys(["path /api", "preflight of /api"], "/api has calls"),
    **dict.fromkeys(
        [
            "login",
            "login, web",
            "login, page",
            "login, page of an application",
            "login, idle",
            "login, JSON",
            "login, multipart",
            "lockout, another address",
            "lockout, an address with a port",
            "refresh: a session",
            "refresh: WAYF",
            "refresh: of a login",
            "refresh: idle",
            "refresh: twice",
            "refresh: strange origin",
            "refresh: a body",
            "refresh/web 18",
            "refresh/web 19",
            "refresh/web: success",
            "reset, login",
        ],
        "tokens of people's sessions have auth_time and amr",
    ),
    **dict.fromkeys(
        [
            *("refresh: a delegation", "refresh: a chain", "refresh: a narrowed delegation"),
            *("one-time of an extended token", "extension", "extension, refreshes", "extension, no refreshes"),
            *("extension, null", "extension, scopes", "extension of an extension", "extension, a day"),
            *("extension, guest", "extension, no media type", "extension, refreshed"),
        ],
        "extended tokens have act",
    ),
    **dict.fromkeys(
        [
            *("HEAD with a token, delegations", "delegations of ada", "extension, in the list"),
            "delegations that are left",
        ],
        "a delegation has a title",
    ),
    "refresh/web 16": "* a header line may have 32 KiB, so that the service itself refuses a long cookie",
    "logout/web 16": "* a header line may have 32 KiB, so that the service itself refuses a long cookie",
    "extension of 8": _CHAINS,
    "extension, 1,001 scopes": "the scopes of a request have at most 16 KiB together",
    "reset, unknown and too short": "resetPassword checks the reset token first",
}
