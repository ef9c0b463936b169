"""UCloud's User Authentication API: password logins, refresh tokens, sessions, one-time tokens, extension."""

from typing import Final

VERSION: Final = "1.1.0"
