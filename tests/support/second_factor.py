"""People with a second factor, and the app that shows their codes."""

import base64
import hashlib
import hmac
import struct
import time
from dataclasses import dataclass, field
from typing import Any

import psycopg

from .api import Api
from .world import PASSWORD, Stored, World


@dataclass
class Authenticator:
    """An app, by RFC 6238 alone: no code of the service is used."""

    secret: str
    step: int = field(default_factory=lambda: int(time.time()) // 30)  # when it was made

    def code(self, steps: int = 0, now: float | None = None) -> str:
        """The code of the present step, or of one that many steps later.

        The present step stays the same for 30 seconds at least, so that codes keep their order when a step ends.
        """
        present = max(self.step, int(time.time()) // 30 - 1) if now is None else int(now) // 30
        counter = present + steps
        digest = hmac.digest(base64.b32decode(self.secret), struct.pack(">Q", counter), hashlib.sha1)
        [number] = struct.unpack_from(">I", digest, digest[-1] & 15)
        return f"{(number & 0x7FFFFFFF) % 1_000_000:06d}"

    def wrong_code(self) -> str:
        """A code that none of the steps around the present one has."""
        near = {self.code(steps) for steps in range(-3, 4)}
        return next(code for code in ("000000", "111111", "222222", "333333", "444444", "555555", "666666", "777777")
                    if code not in near)  # fmt: skip


@dataclass
class Owner:
    """A person with a second factor, and the session that set it up."""

    session: Stored
    app: Authenticator
    recovery_code: str

    @property
    def id(self) -> str:
        return self.session.id


def wait_for_a_long_step(seconds: float = 5) -> None:
    """Wait until the present step of 30 seconds lasts that long: then the code before it is accepted meanwhile."""
    left = 30 - time.time() % 30
    if left < seconds:
        time.sleep(left)


def add_factor(api: Api, session: Stored) -> Owner:
    """Set up a factor in the session."""
    return confirm_factor(api, session, api.create_credentials(session.access_token).ok())


def confirm_factor(api: Api, session: Stored, made: dict[str, Any]) -> Owner:
    """Confirm the set-up that `createCredentials` has answered. The step before the present one is spent."""
    app = Authenticator(made["secret"])
    answer = api.answer_challenge(made["challengeId"], app.code(-1), session.access_token)
    if answer.status == 401:  # a step ended meanwhile
        app.step += 1
        answer = api.answer_challenge(made["challengeId"], app.code(-1), session.access_token)
    assert answer.ok() == {}
    return Owner(session, app, made["recoveryCode"])


def new_owner(api: Api, world: World, **columns: object) -> Owner:
    return add_factor(api, world.session(world.user(**columns)))  # type: ignore[arg-type]


def challenge_of(api: Api, user: str, service: str, password: str = PASSWORD) -> str:
    """The challenge of a login whose password is right."""
    answer = api.login(user, password, service).ok()
    assert set(answer) == {"2fa"}
    return str(answer["2fa"])


def forget_steps(database_url: str, user: str) -> None:
    """As if the person's last code was long ago."""
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE second_factor SET last_step = 0 WHERE principal_id = %s", [user])


def block_factor(database_url: str, user: str, failures: int = 100) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE second_factor SET failures = %s WHERE principal_id = %s", [failures, user])


def make_older(database_url: str, session: Stored, seconds: int) -> None:
    """As if the session began that many seconds earlier."""
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "UPDATE refresh_token SET created_at = created_at - make_interval(secs => %s) WHERE principal_id = %s",
            [seconds, session.id],
        )


def factor_row(database_url: str, user: str) -> tuple[bool, int | None]:
    """Whether the person's row says that there is a factor, and the failures that it counts (None: no factor)."""
    with psycopg.connect(database_url) as connection:
        row = connection.execute(
            "SELECT two_factor_authentication, failures FROM principal "
            "LEFT JOIN second_factor ON principal_id = id WHERE id = %s",
            [user],
        ).fetchone()
    assert row is not None
    return row[0], row[1]


def sessions_of(database_url: str, user: str) -> int:
    """How many sessions the database holds for the person."""
    with psycopg.connect(database_url) as connection:
        row = connection.execute(
            "SELECT count(*) FROM refresh_token WHERE principal_id = %s AND extended_by IS NULL", [user]
        ).fetchone()
    assert row is not None
    return int(row[0])
