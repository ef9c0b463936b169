"""flask users import: creates users with their existing password hashes."""

import base64
from contextlib import suppress
from typing import IO

import click
import msgspec
from msgspec import Struct

from auth.core.models import Role
from auth.core.passwords import OriginalPbkdf2, is_hash

from .common import as_json, database, done, inserted, is_person_id, problem_with_texts

SALT_BYTES = 16
KEY_BYTES = 32


class ImportedUser(Struct, rename="camel", forbid_unknown_fields=True):
    id: str
    role: str
    first_names: str
    last_name: str
    email: str | None = None
    org_id: str | None = None
    password_hash: str | None = None
    hashed_password: str | None = None
    salt: str | None = None


HELP = """Create the users of a file of JSON lines: all of them, or none.

Each line is an object with id, role (USER or ADMIN), firstNames, lastName, optionally email and orgId, and either a
passwordHash (argon2, bcrypt, scrypt, pbkdf2_sha256, pbkdf2_sha512, sha256_crypt or sha512_crypt), or the original
system's hashedPassword and salt. A hash of another kind than ours is replaced at the user's next login.
"""


@click.command("import", help=HELP)
@click.argument("file", type=click.File("rb"))
@as_json
def import_command(file: IO[bytes], as_json: bool) -> None:
    count = 0
    with database() as opened, opened.transaction() as transaction:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                row = transaction.one("principal_insert", principal_type="password", **_row(line))
                inserted(row, "principal with this id")
            except click.ClickException as mistake:
                raise click.ClickException(f"line {number}: {mistake.message}") from None
            count += 1
    done({"imported": count}, as_json, f"imported {count} users")


def _row(line: bytes) -> dict[str, str | None]:
    try:
        user = msgspec.json.decode(line, type=ImportedUser)
    except (msgspec.DecodeError, ValueError, RecursionError):
        raise click.ClickException("This is not a user as JSON; see `flask users import --help`.") from None
    if not is_person_id(user.id):
        raise click.ClickException("This is not an id that a user can have.")
    if user.role not in (Role.USER, Role.ADMIN):
        raise click.ClickException("The role must be USER or ADMIN.")
    if problem := problem_with_texts(user.first_names, user.last_name, user.email, user.org_id):
        raise click.ClickException(problem)
    return msgspec.structs.asdict(user) | {"password_hash": _password_hash(user)}


def _password_hash(user: ImportedUser) -> str:
    if user.password_hash is not None and user.hashed_password is None and user.salt is None:
        if not is_hash(user.password_hash):
            raise click.ClickException("The passwordHash is not of a known kind.")
        return user.password_hash
    if user.password_hash is None and user.hashed_password is not None and user.salt is not None:
        salt, key = _decoded(user.salt, SALT_BYTES), _decoded(user.hashed_password, KEY_BYTES)
        return str(OriginalPbkdf2(rounds=10_000, salt=salt, checksum=key).to_string())
    raise click.ClickException("There must be either a passwordHash, or a hashedPassword and its salt.")


def _decoded(text: str, size: int) -> bytes:
    with suppress(ValueError):
        if len(value := base64.b64decode(text, validate=True)) == size:
            return value
    raise click.ClickException(f"The salt must be base64 of {SALT_BYTES} bytes, the hashedPassword of {KEY_BYTES}.")
