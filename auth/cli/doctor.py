"""flask doctor: whether a deployment is sound, check by check."""

import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Final

import click

from auth import VERSION
from auth.config import Config, Misconfigured, from_environment
from auth.core.errors import DatabaseUnavailable
from auth.core.limits import LEEWAY_SECONDS
from auth.db import CONNECTIONS, DirectDatabase
from auth.migrations import pending

from .common import as_json, database_url, reason, show

KEYS: Final = ("JWT_PRIVATE_KEY", "JWT_PUBLIC_KEYS")


@dataclass(frozen=True)
class Finding:
    """The result of one check. The message says what to do when `ok` is false."""

    check: str
    ok: bool
    message: str


@click.command("doctor", help="Print the version and check a deployment; exits with 1 when a check fails.")
@as_json
def doctor(as_json: bool) -> None:
    with database_url() as url:
        findings = [Finding("version", True, VERSION), *_of_environment(url), *_of_database(url)]
    show([asdict(finding) for finding in findings], as_json, _line)
    if not all(finding.ok for finding in findings):
        raise click.exceptions.Exit(1)


def _line(finding: dict[str, Any]) -> str:
    return f"{'ok  ' if finding['ok'] else 'FAIL'}\t{finding['check']}\t{finding['message']}"


def _of_environment(url: str) -> Iterator[Finding]:
    try:
        config = from_environment({**os.environ, "DATABASE_URL": url})
    except Misconfigured as problems:
        for line in str(problems).splitlines():
            yield Finding("keys" if line.startswith(KEYS) else "environment", False, line)
        return
    yield Finding("environment", True, "every variable is sound")
    yield _keys(config)
    yield _cookies(config)


def _keys(config: Config) -> Finding:
    signing, others = config.keyring.signing, len(config.keyring.verifying) - 1
    return Finding("keys", True, f"{signing.algorithm} {signing.kid} signs, {others} more verify")


def _cookies(config: Config) -> Finding:
    scheme = "http" if config.cookie_secure else "https"
    wrong = sorted(origin for origin in config.trusted_origins if origin.startswith(f"{scheme}://"))
    if not wrong:
        return Finding("cookies", True, f"COOKIE_SECURE suits the {len(config.trusted_origins)} trusted origins")
    secure = int(config.cookie_secure)
    return Finding("cookies", False, f"COOKIE_SECURE={secure} does not suit {wrong[0]} in TRUSTED_ORIGINS")


def _of_database(url: str) -> Iterator[Finding]:
    opened = DirectDatabase(url)
    try:
        asked = time.time()
        facts = opened.one("server_facts") or {}
        yield Finding("database", not facts["read_only"], _kind(facts))
        yield _clocks(asked, time.time(), facts["seconds_since_epoch"])
        yield _migrations(pending(opened))
        processes = os.environ.get("WEB_CONCURRENCY") or "2"
        if processes.isdecimal():  # or the environment's check has named it
            yield _connections(int(processes), facts["connections"])
    except DatabaseUnavailable as fault:
        yield Finding("database", False, reason(fault))


def _kind(facts: dict[str, Any]) -> str:
    whose = "" if os.environ.get("DATABASE_URL") else ", make run's own: DATABASE_URL is not set"
    return f"PostgreSQL {facts['version']}{whose}{', which takes no writes' if facts['read_only'] else ''}"


def _clocks(asked: float, answered: float, theirs: float) -> Finding:
    """How far the database's clock is from the span in which it was asked, at least."""
    apart = max(asked - theirs, theirs - answered, 0.0)
    return Finding("clocks", apart < LEEWAY_SECONDS, f"the database's clock and ours are {apart:.1f} s apart")


def _migrations(waiting: list[str]) -> Finding:
    return Finding("migrations", not waiting, f"pending: {', '.join(waiting)}" if waiting else "all applied")


def _connections(processes: int, there: int) -> Finding:
    needed = processes * CONNECTIONS
    message = f"{processes} processes take up to {needed} connections, of {there} that the database has"
    return Finding("connections", needed <= there, message)
