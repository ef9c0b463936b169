"""The second factors of users: their keys, their removal, and their import from other systems."""

import base64
import os
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain
from typing import Final

import click
from cryptography.fernet import Fernet

from auth.config import Misconfigured, read
from auth.core.errors import ApiError
from auth.core.second_factor import StoredSecret
from auth.db import Database, Row

from . import keys
from .common import Answer, Command, database, required

BATCH: Final = 1000  # rows that one statement reads or writes
SECRET_BYTES: Final = range(10, 129)  # of an imported secret; the original's have 10


@keys.commands.command("second-factor", help="Print a new key, for SECOND_FACTOR_KEYS.")
def generate_key() -> Answer:
    key = Fernet.generate_key().decode()
    return Answer({"key": key}, [key])


@keys.commands.command("rekey", help="Encrypt every second factor again, with the first key of SECOND_FACTOR_KEYS.")
def rekey() -> Answer:
    rekeyed = unreadable = 0
    with database() as opened:
        for rows in _batches(opened):
            columns = {name: [row[name] for row in rows] for name in rows[0]}
            rekeyed += opened.run("second_factor_rekey", **columns)
            unreadable += sum(row["new"] is None for row in rows)
    lines = [f"rekeyed {rekeyed}", *([f"no key opens {unreadable}"] if unreadable else [])]
    return Answer({"rekeyed": rekeyed, "unreadable": unreadable}, lines, failed=bool(unreadable))


@click.command("reset-second-factor", cls=Command, help="Remove a user's second factor, and end all their sessions.")
@click.argument("user_id", metavar="ID")
def reset_second_factor(user_id: str) -> Answer:
    with database() as opened:
        user = opened.one("second_factor_reset", id=user_id)
        ended = required(user, f"There is no user {user_id} with a second factor.")["revoked"]
    return Answer({"id": user_id, "ended": ended}, [f"removed the second factor of {user_id}"])


def state(opened: Database) -> tuple[bool, str, str]:
    """The `ok`, `message` and `problem` of a finding. It is ok if the keys open every secret."""
    unreadable = old = 0
    try:
        for row in chain.from_iterable(_batches(opened)):
            unreadable += row["new"] is None
            old += row["new"] != row["secret"]
    except Misconfigured:
        return False, "not checked: SECOND_FACTOR_KEYS is wrong", ""
    problem = f"no key opens {unreadable}: repair SECOND_FACTOR_KEYS, or run `flask users reset-second-factor`"
    message = f"{old} are under an old key: run `flask keys rekey`" if old else "all are under the first key"
    return not unreadable, message, problem


def add_imported(transaction: Database, person: Row, totp_secret: str) -> None:
    """Store the second factor that a new person had in another system. Raises `ClickException`, or `ApiError`."""
    text = "".join(totp_secret.split()).rstrip("=").upper()
    secret = text + "=" * (-len(text) % 8)
    size = 0
    with suppress(ValueError):
        size = len(base64.b32decode(secret))
    if size not in SECRET_BYTES:
        raise click.ClickException("A totpSecret is base32 of 10 to 128 bytes.")
    sealed = read(os.environ, "SECOND_FACTOR_KEYS")["SECOND_FACTOR_KEYS"].seal(StoredSecret(person["uid"], secret))
    transaction.run("second_factor_import", id=person["id"], secret=sealed)


def _batches(opened: Database) -> Iterator[list[Row]]:
    """All second factors, in batches. `new` is the secret under the first key, or None if no key opens it."""
    after, keys = "", read(os.environ, "SECOND_FACTOR_KEYS")["SECOND_FACTOR_KEYS"]
    while rows := opened.many("second_factor_list", after=after, batch=BATCH):
        after = rows[-1]["principal_id"]
        for row in rows:
            row["new"] = None
            with suppress(ApiError):  # no key opens it
                row["new"] = keys.resealed(row["secret"], row["uid"])
        yield rows
