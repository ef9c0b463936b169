"""The numbers of the contract. Each is written as a number only here: all other tests use the constants."""

from types import ModuleType
from typing import Any, Final

import pytest

from auth.core import errors, limits, models, password_rules, passwords
from auth.core.errors import ApiError
from auth.ops import log, parser

from .support.servers import PROJECT

KIB: Final = 1024
HOUR: Final = 60 * 60
DAY: Final = 24 * HOUR

LIMITS: Final = {
    "ACCESS_TOKEN_MS": 600_000,
    "ONE_TIME_TOKEN_MS": 30_000,
    "EXTENDED_TOKEN_MAX_MS": 86_400_000,
    "EXTENDED_REFRESH_TOKEN_DAYS": 30,
    "CLAIM_DAYS": 30,
    "USE_SECONDS": 300,
    "RESET_TOKEN_MINUTES": 30,
    "IDLE_TIMEOUT_MINIMUM_SECONDS": 600,
    "REFRESH_COOKIE_SECONDS": 30 * DAY,
    "AUTH_STATE_SECONDS": 300,
    "LEEWAY_SECONDS": 5,
    "JWKS_SECONDS": 300,
    "ID_CHARACTERS": 255,
    "NAME_CHARACTERS": 100,
    "AUTH_STATE_CHARACTERS": 3_950,
    "PASSWORD_BYTES": 1_024,
    "USER_AGENT_CHARACTERS": 4_096,
    "BODY_BYTES": 4 * KIB,
    "MODEL_BODY_BYTES": 64 * KIB,
    "BULK_BODY_BYTES": 2 * KIB * KIB,
    "COOKIE_CHARACTERS": 16 * KIB,
    "SCOPE_CHARACTERS": 1_024,
    "SCOPES_PER_REQUEST": 1_000,
    "SCOPES_BYTES": 16 * KIB,
    "TOKEN_CHARACTERS": 32_000,
    "SESSIONS": 1_000,
    "DELEGATIONS": 100,
    "CHAIN_SERVICES": 8,
    "PURGE_ROWS": 100,
}
LOCKOUT: Final = {
    "pair_failures": 5,
    "window_seconds": 300,
    "most_severe": 5,
    "severity_seconds": HOUR,
    "wide_failures": 100,
    "username_window_seconds": HOUR,
    "memory_seconds": 2 * HOUR,
}
OTHERS: Final[list[tuple[ModuleType, str, Any]]] = [
    (models, "PAGE_SIZES", (10, 25, 50, 100, 250)),
    (models, "DEFAULT_PAGE_SIZE", 50),
    (password_rules, "CHARACTERS", 15),
    (password_rules, "SCORED_CHARACTERS", 64),
    (password_rules, "SCORE", 3),
    (passwords, "WAIT_SECONDS", 1),
    (log, "LINE_BYTES", 4_096),
    (parser, "HEAD_BYTES", 64 * KIB),
]
STATED: Final[list[tuple[type[ApiError], int]]] = [
    (errors.InvalidExpiresIn, limits.EXTENDED_TOKEN_MAX_MS),
    (errors.ChainTooLong, limits.CHAIN_SERVICES),
    (errors.TooManyDelegations, limits.DELEGATIONS),
    (errors.PasswordTooShort, password_rules.CHARACTERS),
    (errors.PasswordTooLong, limits.PASSWORD_BYTES),
]


STATED_IN_DOCUMENTS: Final = {
    "SECURITY.md": [
        f"{limits.ACCESS_TOKEN_MS // 60_000} minutes",
        f"{limits.EXTENDED_TOKEN_MAX_MS // 3_600_000} hours at most",
        f"{limits.ONE_TIME_TOKEN_MS // 1000} seconds",
        f"after {limits.EXTENDED_REFRESH_TOKEN_DAYS} days",
        f"after {limits.RESET_TOKEN_MINUTES} minutes",
        f"the key set for {limits.JWKS_SECONDS // 60} minutes",
        f"once in {limits.USE_SECONDS // 60} minutes",
        f"{limits.LOCKOUT['pair_failures']} failures within {limits.LOCKOUT['window_seconds'] // 60} minutes",
        f"{limits.LOCKOUT['wide_failures']} failures in",
        f"{limits.LOCKOUT['wide_failures']} in an hour",
        f"within {limits.LEEWAY_SECONDS} seconds",
        f"{limits.SESSIONS:,} live sessions",
        f"{limits.DELEGATIONS} live delegations",
        f"{limits.CHAIN_SERVICES} services",
        f"{password_rules.CHARACTERS} characters or more",
        f"{limits.PASSWORD_BYTES:,} bytes or fewer",
    ],
    "operations.md": [
        f"most {limits.BODY_BYTES // KIB} KiB",
        f"{limits.BULK_BODY_BYTES // KIB**2} MiB at `bulkInvalidate`",
        f"{limits.MODEL_BODY_BYTES // KIB} KiB at every other call",
        f"most {log.LINE_BYTES:,} bytes",
        f"most {parser.HEAD_BYTES // KIB} KiB",
    ],
    "integrate.md": [f"{limits.SCOPES_BYTES // KIB} KiB of scopes", f"{limits.TOKEN_CHARACTERS:,} characters"],
}


@pytest.mark.parametrize("name", LIMITS)
def test_a_limit(name: str) -> None:
    assert getattr(limits, name) == LIMITS[name]


@pytest.mark.parametrize("name", LOCKOUT)
def test_a_limit_on_guessing(name: str) -> None:
    assert limits.LOCKOUT[name] == LOCKOUT[name]


@pytest.mark.parametrize(("module", "name", "value"), OTHERS, ids=[name for _, name, _ in OTHERS])
def test_another_number(module: ModuleType, name: str, value: object) -> None:
    assert getattr(module, name) == value


def test_no_limit_is_missing_here() -> None:
    assert {*LIMITS, "LOCKOUT"} == {name for name in vars(limits) if name.isupper()}
    assert LOCKOUT.keys() == limits.LOCKOUT.keys()


@pytest.mark.parametrize(("error", "number"), STATED, ids=[error.__name__ for error, _ in STATED])
def test_the_text_of_an_error_states_the_limit(error: type[ApiError], number: int) -> None:
    assert f" {number:,} " in str(error.__doc__)


@pytest.mark.parametrize("document", STATED_IN_DOCUMENTS)
def test_a_document_states_the_limits(document: str) -> None:
    text = " ".join((PROJECT / "docs" / document).read_text().split())
    assert [stated for stated in STATED_IN_DOCUMENTS[document] if stated not in text] == []
