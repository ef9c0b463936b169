"""flask users import: creates users with their existing password hashes."""

from codecs import BOM_UTF8
from typing import IO, Annotated, Literal

import click
import msgspec

from auth.core.errors import ApiError
from auth.db import Database, Row

from .common import Answer, Command, check_person, database, message, required
from .imported_hashes import CREDENTIALS, TAKEN, read
from .second_factor import add_imported


class ImportedUser(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    id: str
    role: Literal["USER", "ADMIN"]
    first_names: str
    last_name: str
    email: str | None = None
    org_id: str | None = None
    password_hash: str | None = None
    credential_data: str | None = None
    secret_data: str | None = None
    hashed_password: str | None = None
    salt: str | None = None
    totp_secret: str | None = None
    sla_version: Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)] = 0  # PostgreSQL's integer


STARTS = "\n".join(f"{system}: {starts}" for system, starts in TAKEN.items())
HELP = f"""Create the users of a file of JSON lines in UTF-8: all of them, or none.

Each line is an object with id, role (USER or ADMIN), firstNames, lastName, optionally email and orgId, and one of
these: a passwordHash; the credentialData and secretData of Keycloak (argon2, pbkdf2, pbkdf2-sha256 or pbkdf2-sha512),
copied as they are; or the original system's hashedPassword and salt. A passwordHash that begins with ! or * means
that the user has no password. Any other begins with one of these:

\b
{STARTS}

totpSecret is the user's second factor, in base32; slaVersion is the version of the terms that the user has accepted.

A hash above the ceiling of its kind is refused. A hash of another kind than ours is replaced at the next login.
"""


@click.command("import", cls=Command, help=HELP)
@click.argument("file", type=click.File("rb"))
def import_command(file: IO[bytes]) -> Answer:
    hashes = list[str | None]()
    with database() as opened, opened.transaction() as transaction:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                user = _row(line.removeprefix(BOM_UTF8))
                _insert(transaction, user)
            except (click.ClickException, ApiError) as mistake:
                raise click.ClickException(f"line {number}: {message(mistake)}") from None
            hashes.append(user["password_hash"])
    without = f", {hashes.count(None)} of them without a password" if None in hashes else ""
    return Answer({"imported": len(hashes)}, [f"imported {len(hashes)} users{without}"])


def _insert(transaction: Database, user: Row) -> None:
    created = transaction.one("principal_insert", principal_type="password", **user)
    person = required(created, f"There is a principal {user['id']} already.")
    if user["totp_secret"] is not None:
        add_imported(transaction, person, user["totp_secret"])
    if user["sla_version"] and not transaction.one("sla_import", id=user["id"], version=user["sla_version"]):
        raise click.ClickException(f"No version {user['sla_version']} of the terms is published.")


def _row(line: bytes) -> Row:
    user = _decoded(line)
    check_person(user.id, first_names=user.first_names, last_name=user.last_name, email=user.email, org_id=user.org_id)
    row = msgspec.structs.asdict(user)
    fields = {name: text for names in CREDENTIALS for name in names if (text := row.pop(name)) is not None}
    return row | {"password_hash": read(fields)}


def _decoded(line: bytes) -> ImportedUser:
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
