"""Configuration: read from the environment once, checked at start, the same for every request after."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from auth.connection import is_database_url
from auth.core.keys import Keyring, load_private_key, load_public_keys
from auth.core.origins import is_origin, origin_of
from auth.platform import DEFAULTS, platform

LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


@dataclass(frozen=True)
class Config:
    database_url: str
    keyring: Keyring
    issuer: str
    trusted_origins: frozenset[str]  # as `origin_of` spells them
    trusted_proxies: int
    cookie_secure: bool
    log_levels: frozenset[str] = frozenset(LEVELS)  # of the lines that are written


class _Reader:
    """Reads variables one by one, and remembers a line for each that is missing or wrong."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self.problems: list[str] = []

    def read(self, name: str, parse: Callable[[str], Any], default: str | None = None) -> Any:
        """The parsed value, or None after a problem; `finish` then raises."""
        text = self._environment.get(name) or default
        if text is None:
            self.problems.append(f"{name} is not set. It {_MEANING[name]}.")
            return None
        try:
            return parse(text)
        except ValueError as error:
            self.problems.append(f"{name} {error}.")
            return None

    def finish(self) -> None:
        """Raises `Misconfigured` if there was a problem."""
        if self.problems:
            raise Misconfigured("\n".join(self.problems))


_MEANING = {
    "DATABASE_URL": "is the postgresql:// URL of the database",
    "JWT_PRIVATE_KEY": "is the PEM of the key that signs; `flask keys generate` makes one",
}


class Misconfigured(Exception):
    """A variable is missing or wrong; the message has a line for each mistake."""


def from_environment(environment: Mapping[str, str] = os.environ) -> Config:
    """The configuration that the environment describes. Raises `Misconfigured`."""
    reader = _Reader(environment)
    database_url = reader.read("DATABASE_URL", _database_url)
    private_key = reader.read("JWT_PRIVATE_KEY", load_private_key)
    public_keys = reader.read("JWT_PUBLIC_KEYS", load_public_keys, default=" ")
    issuer = reader.read("JWT_ISSUER", _issuer, default="cloud.sdu.dk")
    origins = reader.read("TRUSTED_ORIGINS", _origins, default=",")
    proxies = reader.read("TRUSTED_PROXIES", _between(0, 99), default="0")
    secure = reader.read("COOKIE_SECURE", _flag, default="1")
    for name, check in _PLATFORM.items():
        reader.read(name, check, DEFAULTS[name])
    reader.finish()
    keyring, levels = Keyring.of(private_key, public_keys), _levels(platform("LOG_LEVEL", environment))
    return Config(database_url, keyring, issuer, origins, proxies, secure, levels)


def read_keyring(environment: Mapping[str, str] = os.environ) -> Keyring:
    """The keys alone, for commands that need nothing else. Raises `Misconfigured`."""
    reader = _Reader(environment)
    private_key = reader.read("JWT_PRIVATE_KEY", load_private_key)
    public_keys = reader.read("JWT_PUBLIC_KEYS", load_public_keys, default=" ")
    reader.finish()
    return Keyring.of(private_key, public_keys)


def read_database_url(environment: Mapping[str, str] = os.environ) -> str | None:
    """The database's URL, or None when none is set. Raises `Misconfigured` for one that is malformed."""
    if not environment.get("DATABASE_URL"):
        return None
    reader = _Reader(environment)
    url: str = reader.read("DATABASE_URL", _database_url)
    reader.finish()
    return url


def _database_url(text: str) -> str:
    if not is_database_url(text):
        raise ValueError("is not a postgresql:// URL")
    return text


def _issuer(text: str) -> str:
    if not text.isprintable() or text != text.strip():
        raise ValueError("must be printable text without spaces around it")
    return text


def _origins(text: str) -> frozenset[str]:
    origins = [entry.strip() for entry in text.split(",") if entry.strip()]
    for entry in origins:
        if not is_origin(entry):
            raise ValueError(f"has an entry that is not an exact origin like https://cloud.example.org: {entry!r}")
    return frozenset(origin for entry in origins if (origin := origin_of(entry)))


def _between(lowest: int, highest: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) < 6 and lowest <= int(text) <= highest):
            raise ValueError(f"must be a number from {lowest} to {highest}")
        return int(text)

    return parse


def _level(text: str) -> str:
    if text.upper() not in LEVELS:
        raise ValueError("must be debug, info, warning, error or critical")
    return text.upper()


def _levels(lowest: str) -> frozenset[str]:
    return frozenset(LEVELS[LEVELS.index(_level(lowest)) :])


# Read by gunicorn.conf.py; checked here, so that all mistakes are reported at once.
_PLATFORM: Final[dict[str, Callable[[str], Any]]] = {
    "PORT": _between(0, 65535),
    "WEB_CONCURRENCY": _between(1, 1000),
    "LOG_LEVEL": _level,
}


def _flag(text: str) -> bool:
    if text not in ("0", "1"):
        raise ValueError("must be 0 or 1")
    return text == "1"
