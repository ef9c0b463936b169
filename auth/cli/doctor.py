"""flask doctor: whether a deployment is sound, check by check."""

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

import click

from auth import VERSION, text_of
from auth.config import Misconfigured, from_environment, read
from auth.core.errors import DatabaseUnavailable
from auth.core.limits import LEEWAY_SECONDS
from auth.core.passwords import excess
from auth.db import CONNECTIONS, Database, Row

from . import second_factor
from .common import Answer, Command, database, message
from .migrations import pending

KEYS: Final = ("JWT_PRIVATE_KEY", "JWT_PUBLIC_KEYS")


def finding(check: str, ok: bool, message: str, problem: str = "") -> Row:
    """The result of one check. If `ok` is false, `problem` (if there is one) replaces the message."""
    return {"check": check, "ok": ok, "message": message if ok else problem or message}


@click.command("doctor", cls=Command, help="Print the version and check a deployment; exits with 1 when a check fails.")
def doctor() -> Answer:
    with database() as opened:
        findings = [finding("version", True, VERSION), *_of_environment(opened.url), *_of_database(opened)]
    lines = [f"{'ok  ' if row['ok'] else 'FAIL'}\t{row['check']}\t{row['message']}" for row in findings]
    return Answer(findings, lines, failed=not all(row["ok"] for row in findings))


def _of_environment(url: str) -> Iterator[Row]:
    try:
        config = from_environment({**os.environ, "DATABASE_URL": url, "DATABASE_URL_FILE": ""})
    except Misconfigured as problems:
        for line in str(problems).splitlines():
            yield finding("keys" if line.startswith(KEYS) else "environment", False, line)
        return
    yield finding("environment", True, "every variable is sound")
    signing = config.keyring.signing
    others = len(config.keyring.verifying) - 1
    yield finding("keys", True, f"{signing.algorithm} {signing.kid} signs, {others} more verify")
    scheme = "http" if config.cookie_secure else "https"
    wrong = min((origin for origin in config.trusted_origins if origin.startswith(f"{scheme}://")), default=None)
    problem = f"COOKIE_SECURE={config.cookie_secure:d} does not suit {wrong} in TRUSTED_ORIGINS"
    yield finding("cookies", wrong is None, "COOKIE_SECURE suits every trusted origin", problem)


def _of_database(opened: Database) -> Iterator[Row]:
    try:
        asked = time.time()
        [facts] = opened.many("server_facts")
        yield _clocks(asked, time.time(), facts["ms_since_epoch"] / 1000)
        whose = "" if text_of(os.environ, "DATABASE_URL") else ", make run's own: DATABASE_URL is not set"
        kind = f"PostgreSQL {facts['version']}{whose}"
        yield finding("database", not facts["read_only"], kind, f"{kind}, which takes no writes")
        waiting = ", ".join(pending(opened))
        yield finding("migrations", not waiting, "all applied", f"pending: {waiting}")
        wrong = ", ".join(facts["wrong_settings"])
        yield finding("settings", not wrong, "sound", f"remove from database, role or PgBouncer: {wrong}")
        yield from _connections(facts["connections"])
        if not waiting:
            yield _hashes(opened.many("password_hash_sample"))
            yield finding("second factors", *second_factor.state(opened))
            [sequence] = opened.many("principal_uid_sequence")
            yield finding("sequence", not sequence["is_behind"], "it is ahead of every uid", sequence["repair"])
    except DatabaseUnavailable as fault:
        yield finding("database", False, message(fault))


def _clocks(asked: float, answered: float, theirs: float) -> Row:
    """The database's time must lie between the times before and after the query, with some leeway."""
    apart = max(asked - theirs, theirs - answered, 0.0)
    return finding("clocks", apart < LEEWAY_SECONDS, f"the database's clock and ours are {apart:.1f} s apart")


def _connections(there: int) -> Iterator[Row]:
    with suppress(Misconfigured):  # the check of the environment has failed too
        processes = read(os.environ, "WEB_CONCURRENCY")["WEB_CONCURRENCY"]
        needed = processes * CONNECTIONS
        text = f"{processes} processes take up to {needed} connections, of {there} that the database has"
        yield finding("connections", needed <= there, text)


def _hashes(samples: list[Row]) -> Row:
    """Whether users have a hash above its ceiling. The service never computes such a hash, so they cannot log in."""
    users, example = 0, ""
    for row in samples:
        with suppress(ValueError):  # the text is not a hash
            if kind := excess(row["password_hash"]):
                users += row["users"]
                example = example or f"{row['first_id']} for example: {kind}"
    problem = f"{users} users cannot log in, {example}. Run `flask users reset-password` for each."
    return finding("password hashes", not users, "none is above the ceiling of its kind", problem)
