"""The variables of gunicorn.conf.py and their defaults. Imported by gunicorn's master: see gunicorn.conf.py."""

import os
from collections.abc import Mapping
from typing import Final

DEFAULTS: Final = {"PORT": "8080", "WEB_CONCURRENCY": "2", "LOG_LEVEL": "info"}


def variable(name: str, environment: Mapping[str, str] = os.environ) -> str:
    """The variable's value, or its default where it is missing or empty."""
    return environment.get(name) or DEFAULTS[name]
