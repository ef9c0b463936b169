"""UCloud's User Authentication API: password logins, refresh tokens, sessions, one-time tokens, extension."""

import os
from collections.abc import Mapping
from typing import Final

VERSION: Final = "1.1.1"
DEFAULTS: Final = {
    "JWT_ISSUER": "cloud.sdu.dk",
    "TRUSTED_PROXIES": "0",
    "COOKIE_SECURE": "1",
    "PORT": "8080",
    "WEB_CONCURRENCY": "2",
    "LOG_LEVEL": "info",
}


def variable(name: str, environment: Mapping[str, str] = os.environ) -> str:
    """The variable without the spaces and newlines around it, or its default where nothing is left."""
    return environment.get(name, "").strip() or DEFAULTS.get(name, "")
