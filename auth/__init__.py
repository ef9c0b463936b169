"""UCloud's User Authentication API: password logins, refresh tokens, sessions, one-time tokens, extension."""

from typing import Final

VERSION: Final = "1.4.0"
DEFAULTS: Final = {"PORT": "8080", "WEB_CONCURRENCY": "2", "LOG_LEVEL": "info"}  # gunicorn.conf.py reads them too
