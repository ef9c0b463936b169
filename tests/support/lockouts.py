"""Steps that the tests of the limits on guessing share."""

import hashlib
from collections.abc import Iterator
from typing import Final

import psycopg

from auth.core.limits import LOCKOUT

from .api import Answer, Api

FAILURES: Final = LOCKOUT["pair_failures"]
WIDE_FAILURES: Final = LOCKOUT["wide_failures"]
WINDOW: Final = LOCKOUT["window_seconds"]
MOST_SEVERE: Final = LOCKOUT["most_severe"]


def cooldown(severity: int) -> int:
    """How many seconds a cooldown of that severity lasts."""
    return int(5**severity)


def below_the_limit_of_a_pair(failures: int) -> Iterator[int]:
    """That many failures, in parts that start no cooldown."""
    while failures:
        part = min(failures, FAILURES - 1)
        yield part
        failures -= part


def limit_key(kind: str, *parts: str) -> bytes:
    """The key of a row of login_limit. It must not change between releases, or running cooldowns would end."""
    return hashlib.sha256("\0".join((kind, *parts)).encode()).digest()


def pair_key(address: str, username: str) -> bytes:
    return limit_key("pair", f"{address}/32", username)


def block(database_url: str, key: bytes) -> None:
    """Makes a row that blocks for `WINDOW` seconds, as the failures of a network would."""
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "INSERT INTO login_limit (key, failures, blocked_until, expires_at) "
            "VALUES (%s, array_fill(now(), ARRAY[%s]), now() + make_interval(secs => %s), now() + interval '2 h')",
            [key, WIDE_FAILURES, WINDOW],
        )


def pass_time(database_url: str, seconds: float, *keys: bytes) -> None:
    """Moves the rows of these keys that many seconds into the past."""
    with psycopg.connect(database_url) as connection:
        connection.execute(
            """
            UPDATE login_limit
            SET failures = ARRAY(SELECT failure - make_interval(secs => %(s)s) FROM unnest(failures) AS failure),
                cooled_down_at = cooled_down_at - make_interval(secs => %(s)s),
                blocked_until = blocked_until - make_interval(secs => %(s)s)
            WHERE key = ANY (%(keys)s)
            """,
            {"s": seconds, "keys": list(keys)},
        )


def leave(database_url: str, seconds: float, key: bytes) -> None:
    """Moves the row of this key so that it blocks for that many seconds from now, however long the test has taken."""
    with psycopg.connect(database_url) as connection:
        row = connection.execute(
            "SELECT extract(epoch FROM blocked_until - clock_timestamp())::float FROM login_limit WHERE key = %s", [key]
        ).fetchone()
    assert row is not None
    pass_time(database_url, row[0] - seconds, key)


def fail(api: Api, username: str, service: str, times: int) -> None:
    for _ in range(times):
        api.login(username, "wrong", service).refused(401, "INCORRECT_CREDENTIALS")


def locked(answer: Answer) -> int:
    """Assert that the login is blocked; the seconds until it is not."""
    answer.refused(429, "TOO_MANY_ATTEMPTS")
    seconds = answer.header("Retry-After")
    assert seconds is not None
    return int(seconds)
