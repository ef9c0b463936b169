"""UCloud's User Authentication API: password logins, refresh tokens, sessions, one-time tokens, extension."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

VERSION: Final = "1.5.0"
VARIABLES: Final = (
    "DATABASE_URL", "JWT_PRIVATE_KEY", "JWT_PUBLIC_KEYS", "JWT_ISSUER", "TRUSTED_ORIGINS", "TRUSTED_PROXIES",
    "COOKIE_SECURE", "SECOND_FACTOR_KEYS", "SECOND_FACTOR_REQUIRED", "LOG_LEVEL", "PORT", "WEB_CONCURRENCY",
)  # fmt: skip
DEFAULTS: Final = {"PORT": "8080", "WEB_CONCURRENCY": "2", "LOG_LEVEL": "info"}  # gunicorn.conf.py reads them too


class Misconfigured(SystemExit):
    """Variables are missing or wrong. The text has a line for each. Uncaught, it ends the process and is printed."""


def text_of(environment: Mapping[str, str], name: str) -> str:
    """The variable, or the content of the file that NAME_FILE names, "" if neither is set. Raises `Misconfigured`."""
    text, path = (environment.get(key, "").strip() for key in (name, f"{name}_FILE"))
    if text and path:
        raise Misconfigured(f"{name} and {name}_FILE are both set.")
    try:
        return Path(path).read_text("utf-8").strip() if path else text
    except (OSError, UnicodeError) as fault:  # the path is not shown: it may be the secret, set by mistake
        raise Misconfigured(f"{name}_FILE cannot be read: {type(fault).__name__}.") from None
