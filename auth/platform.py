"""The variables that the platform sets. gunicorn's master imports this, so this imports nothing else of ours."""

import os
from collections.abc import Mapping
from typing import Final

DEFAULTS: Final = {"PORT": "8080", "WEB_CONCURRENCY": "2", "LOG_LEVEL": "info"}


def platform(name: str, environment: Mapping[str, str] = os.environ) -> str:
    """The variable's value, or its default where it is missing or empty."""
    return environment.get(name) or DEFAULTS[name]
