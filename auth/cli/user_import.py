"""flask users import: creates users with their existing password hashes."""

import base64
from codecs import BOM_UTF8
from contextlib import suppress
from typing import IO

import click
import msgspec
from msgspec import Struct

from auth.core.models import Role
from auth.core.passwords import OriginalPbkdf2

from .common import as_json, database, done, inserted, is_person_id, problem_with_texts
from .imported_hashes import REMEDY, TAKEN, read, read_keycloak

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
    credential_data: str | None = None
    secret_data: str | None = None


ID_RULE = "An id has 1 to 255 characters, none of them a control character, and starts with neither _ nor #P_."
HELP = (
    """Create the users of a file of JSON lines in UTF-8: all of them, or none.

Each line is an object with id, role (USER or ADMIN), firstNames, lastName, optionally email and orgId, and one of
these: a passwordHash; the credentialData and secretData of Keycloak (argon2, pbkdf2, pbkdf2-sha256 or pbkdf2-sha512),
copied as they are; or the original system's hashedPassword and salt. A passwordHash that begins with ! or * is no
password. Otherwise it begins with one of these:

\b
"""
    + "\n".join(f"{system}: {starts}" for system, starts in TAKEN.items())
    + """

A hash that costs more than the ceiling of its kind is refused. One of another kind than ours is replaced at the user's
next login.
"""
)


@click.command("import", help=HELP)
@click.argument("file", type=click.File("rb"))
@as_json
def import_command(file: IO[bytes], as_json: bool) -> None:
    count = without_password = 0
    with database() as opened, opened.transaction() as transaction:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                user = _row(line.removeprefix(BOM_UTF8))
                row = transaction.one("principal_insert", principal_type="password", **user)
                inserted(row, "principal with this id")
            except click.ClickException as mistake:
                raise click.ClickException(f"line {number}: {mistake.message}") from None
            count += 1
            without_password += user["password_hash"] is None
    without = f", {without_password} of them without a password" if without_password else ""
    done({"imported": count}, as_json, f"imported {count} users{without}")


def _row(line: bytes) -> dict[str, str | None]:
    user = _decoded_user(line)
    if not is_person_id(user.id):
        raise click.ClickException(ID_RULE)
    if user.role not in (Role.USER, Role.ADMIN):
        raise click.ClickException("The role must be USER or ADMIN.")
    if problem := problem_with_texts(user.first_names, user.last_name, user.email, user.org_id):
        raise click.ClickException(problem)
    return msgspec.structs.asdict(user) | {"password_hash": _password_hash(user)}


def _decoded_user(line: bytes) -> ImportedUser:
    if b"\0" in line:
        raise click.ClickException("The file is not in UTF-8. Convert it: iconv -f UTF-16 -t UTF-8 FILE")
    if line.lstrip().startswith(b"["):
        raise click.ClickException("This is a JSON array. Write each user on a line of its own: jq -c '.[]' FILE")
    try:
        return msgspec.json.decode(line, type=ImportedUser)
    except msgspec.ValidationError as mistake:
        raise click.ClickException(f"{mistake}; see `flask users import --help`.") from None
    except (msgspec.DecodeError, ValueError, RecursionError):
        raise click.ClickException("This is not a user as JSON in UTF-8, on one line.") from None


def _password_hash(user: ImportedUser) -> str | None:
    names = ("password_hash", "hashed_password", "salt", "credential_data", "secret_data")
    match {name: value for name in names if (value := getattr(user, name)) is not None}:
        case {"password_hash": password_hash, **others} if not others:
            return read(password_hash)
        case {"credential_data": data, "secret_data": secret, **others} if not others:
            return read_keycloak(data, secret)
        case {"hashed_password": hashed_password, "salt": salt, **others} if not others:
            salt, key = _decoded(salt, SALT_BYTES), _decoded(hashed_password, KEY_BYTES)
            return str(OriginalPbkdf2(rounds=10_000, salt=salt, checksum=key).to_string())
    raise click.ClickException(
        "There must be either a passwordHash, or Keycloak's credentialData and secretData, or a hashedPassword and its "
        f"salt. {REMEDY}"
    )


def _decoded(text: str, size: int) -> bytes:
    with suppress(ValueError):
        if len(value := base64.b64decode(text, validate=True)) == size:
            return value
    raise click.ClickException(f"The salt must be base64 of {SALT_BYTES} bytes, the hashedPassword of {KEY_BYTES}.")
