"""Configuration: read from the environment once, checked at start, the same for every request after."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from auth import DEFAULTS, text_of
from auth import Misconfigured as Misconfigured
from auth.connection import is_database_url
from auth.core.keys import Keyring, load_private_key, load_public_keys
from auth.core.origins import origin_of
from auth.core.second_factor import SecondFactorKeys, load_keys, load_roles

LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


@dataclass(frozen=True)
class Config:
    database_url: str
    keyring: Keyring
    issuer: str
    trusted_origins: frozenset[str]  # in the spelling of `origin_of`
    trusted_proxies: int
    cookie_secure: bool
    second_factor_keys: SecondFactorKeys
    second_factor_required: frozenset[str]  # roles
    log_levels: frozenset[str] = frozenset(LEVELS)  # lines of other levels are not written


def from_environment(environment: Mapping[str, str] = os.environ) -> Config:
    """The configuration that the environment describes. Raises `Misconfigured`."""
    url, private_key, public_keys, *others, _port, _processes = read(environment, *_VARIABLES).values()
    configuration = Config(url, Keyring(private_key, public_keys), *others)
    if configuration.second_factor_required and not configuration.second_factor_keys:
        raise Misconfigured("SECOND_FACTOR_KEYS is not set, and SECOND_FACTOR_REQUIRED needs it.")
    return configuration


def read(environment: Mapping[str, str], *names: str) -> dict[str, Any]:
    """The values of these variables. Raises `Misconfigured`."""
    values = {}
    problems = []
    for name in names:
        parse, default = _VARIABLES[name]
        try:
            text = text_of(environment, name) or default
            values[name] = parse(text)
        except Misconfigured as problem:
            problems.append(str(problem))
        except ValueError as error:
            problems.append(f"{name} {error}." if text else f"{name} is not set. It {error}.")
    if problems:
        raise Misconfigured("\n".join(problems))
    return values


def _text(is_sound: Callable[[str], bool], rule: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if not (is_sound(text) and text.isprintable()):  # libpq would read a newline as part of a name
            raise ValueError(rule)
        return text

    return parse


def _origins(text: str) -> frozenset[str]:
    return frozenset(_origin(place, entry.strip()) for place, entry in enumerate(text.split(","), 1) if entry.strip())


def _origin(place: int, entry: str) -> str:
    origin = origin_of(entry)
    if origin is None or entry.count("/") > 2 or any(c in entry for c in "?#"):  # a path, query or fragment
        raise ValueError(f"must be exact origins like https://cloud.example.org, which entry {place} is not")
    return origin


def _between(lowest: int, highest: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) < 6 and lowest <= int(text) <= highest):
            raise ValueError(f"must be a number from {lowest} to {highest}")
        return int(text)

    return parse


def _levels(lowest: str) -> frozenset[str]:
    if lowest.upper() not in LEVELS:
        raise ValueError("must be debug, info, warning, error or critical")
    return frozenset(LEVELS[LEVELS.index(lowest.upper()) :])


# For each variable, its parser and its default. The order is that of `Config`; the last two are for gunicorn.conf.py.
_VARIABLES: Final[dict[str, tuple[Callable[[str], Any], str]]] = {
    "DATABASE_URL": (_text(is_database_url, "must be the postgresql:// URL of the database"), ""),
    "JWT_PRIVATE_KEY": (load_private_key, ""),
    "JWT_PUBLIC_KEYS": (load_public_keys, ""),
    "JWT_ISSUER": (_text(str.isprintable, "must be printable text"), "cloud.sdu.dk"),
    "TRUSTED_ORIGINS": (_origins, ""),
    "TRUSTED_PROXIES": (_between(0, 99), "0"),
    "COOKIE_SECURE": (lambda text: bool(_between(0, 1)(text)), "1"),
    "SECOND_FACTOR_KEYS": (load_keys, ""),
    "SECOND_FACTOR_REQUIRED": (load_roles, ""),
    "LOG_LEVEL": (_levels, DEFAULTS["LOG_LEVEL"]),
    "PORT": (_between(0, 65535), DEFAULTS["PORT"]),
    "WEB_CONCURRENCY": (_between(1, 1000), DEFAULTS["WEB_CONCURRENCY"]),
}
