"""flask doctor: whether a deployment is sound, check by check."""

import os
import time
from collections.abc import Iterator
from typing import Final

import click

from auth import DEFAULTS, VERSION
from auth.config import Config, Misconfigured, from_environment
from auth.core.errors import DatabaseUnavailable
from auth.core.limits import LEEWAY_SECONDS
from auth.core.passwords import excess
from auth.db import DirectDatabase, Row
from auth.pool import CONNECTIONS

from .common import as_json, database_url, done, reason
from .migrations import pending

KEYS: Final = ("JWT_PRIVATE_KEY", "JWT_PUBLIC_KEYS")


def finding(check: str, ok: bool, message: str) -> Row:
    """The result of one check. The message says what to do when `ok` is false."""
    return {"check": check, "ok": ok, "message": message}


@click.command("doctor", help="Print the version and check a deployment; exits with 1 when a check fails.")
@as_json
def doctor(as_json: bool) -> None:
    with database_url() as url:
        findings = [finding("version", True, VERSION), *_of_environment(url), *_of_database(url)]
    done(findings, as_json, *map(_line, findings))
    if not all(row["ok"] for row in findings):
        raise click.exceptions.Exit(1)


def _line(row: Row) -> str:
    return f"{'ok  ' if row['ok'] else 'FAIL'}\t{row['check']}\t{row['message']}"


def _of_environment(url: str) -> Iterator[Row]:
    try:
        config = from_environment({**os.environ, "DATABASE_URL": url})
    except Misconfigured as problems:
        for line in str(problems).splitlines():
            yield finding("keys" if line.startswith(KEYS) else "environment", False, line)
        return
    yield finding("environment", True, "every variable is sound")
    signing, others = config.keyring.signing, len(config.keyring.verifying) - 1
    yield finding("keys", True, f"{signing.algorithm} {signing.kid} signs, {others} more verify")
    yield _cookies(config)


def _cookies(config: Config) -> Row:
    scheme = "http" if config.cookie_secure else "https"
    wrong = sorted(origin for origin in config.trusted_origins if origin.startswith(f"{scheme}://"))
    if not wrong:
        return finding("cookies", True, f"COOKIE_SECURE suits the {len(config.trusted_origins)} trusted origins")
    secure = int(config.cookie_secure)
    return finding("cookies", False, f"COOKIE_SECURE={secure} does not suit {wrong[0]} in TRUSTED_ORIGINS")


def _of_database(url: str) -> Iterator[Row]:
    opened = DirectDatabase(url)
    try:
        asked = time.time()
        facts = opened.one("server_facts") or {}
        yield finding("database", not facts["read_only"], _kind(facts))
        yield _clocks(asked, time.time(), facts["ms_since_epoch"] / 1000)
        waiting = ", ".join(pending(opened))
        yield finding("migrations", not waiting, f"pending: {waiting}" if waiting else "all applied")
        if not waiting:
            yield _hashes(opened.many("password_hash_sample"))
            sequence = opened.one("principal_uid_sequence") or {}
            message = sequence["repair"] if sequence["is_behind"] else "principal_uid_seq is ahead of every uid"
            yield finding("sequence", not sequence["is_behind"], message)
        wrong = ", ".join(facts["wrong_settings"])
        yield finding("settings", not wrong, f"remove from database, role or PgBouncer: {wrong}" if wrong else "sound")
        processes = os.environ.get("WEB_CONCURRENCY", "").strip() or DEFAULTS["WEB_CONCURRENCY"]
        if processes.isdecimal():  # otherwise the check of the environment fails
            yield _connections(int(processes), facts["connections"])
    except DatabaseUnavailable as fault:
        yield finding("database", False, reason(fault))


def _kind(facts: Row) -> str:
    whose = "" if os.environ.get("DATABASE_URL", "").strip() else ", make run's own: DATABASE_URL is not set"
    return f"PostgreSQL {facts['version']}{whose}{', which takes no writes' if facts['read_only'] else ''}"


def _clocks(asked: float, answered: float, theirs: float) -> Row:
    """The database's time must lie between the times before and after the query, with some leeway."""
    apart = max(asked - theirs, theirs - answered, 0.0)
    return finding("clocks", apart < LEEWAY_SECONDS, f"the database's clock and ours are {apart:.1f} s apart")


def _hashes(samples: list[Row]) -> Row:
    """A login with a hash above the ceiling is refused, and never computes it."""
    dear = [row for row in samples if _is_too_dear(row["password_hash"])]
    if not dear:
        return finding("password hashes", True, "none is above the ceiling of its kind")
    users, first_id = sum(row["users"] for row in dear), min(row["first_id"] for row in dear)
    message = f"{users} users cannot log in, {first_id} for example: {excess(dear[0]['password_hash'])}"
    return finding("password hashes", False, f"{message}. Run `flask users reset-password` for each.")


def _is_too_dear(password_hash: str) -> bool:
    try:
        return excess(password_hash) is not None
    except ValueError:
        return False


def _connections(processes: int, there: int) -> Row:
    needed = processes * CONNECTIONS
    message = f"{processes} processes take up to {needed} connections, of {there} that the database has"
    return finding("connections", needed <= there, message)
