"""Shared by the commands: their database, error messages of one line, and output as text or JSON."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE, Popen
from typing import IO, Final, cast

import click

from auth.config import Misconfigured, read
from auth.core.claims import is_id
from auth.core.errors import DatabaseUnavailable, InternalError
from auth.core.limits import ID_CHARACTERS, NAME_CHARACTERS
from auth.db import DirectDatabase, Row

from .migrations import UnusableDatabase

EMBEDDED_HOME: Final = Path(__file__).parent.parent.parent / ".data"


as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@contextmanager
def database() -> Iterator[DirectDatabase]:
    """The database of DATABASE_URL, else the embedded one. A mistake ends the command with a message of one line."""
    with database_url() as url:
        opened = DirectDatabase(url)
        try:
            yield opened
        except InternalError as fault:
            if (
                fault.cause == "UniqueViolation"
                and (sequence := opened.one("principal_uid_sequence") or {})["is_behind"]
            ):
                raise click.ClickException(f"The database cannot store this: {sequence['repair']}") from None
            raise


@contextmanager
def database_url() -> Iterator[str]:
    """The URL of that database, for the time of the block. A mistake ends the command with a message of one line."""
    try:
        with _url() as url:
            yield url
    except (Misconfigured, UnusableDatabase) as problem:
        raise click.ClickException(str(problem)) from None
    except DatabaseUnavailable as fault:
        raise click.ClickException(reason(fault)) from None
    except (InternalError, UnicodeError):
        raise click.ClickException("The database cannot store this.") from None


@contextmanager
def _url() -> Iterator[str]:
    if os.environ.get("DATABASE_URL", "").strip():
        yield read(os.environ, "DATABASE_URL")["DATABASE_URL"]
        return
    if not EMBEDDED_HOME.exists():
        raise click.ClickException("DATABASE_URL is not set, and there is no embedded database (`make run` makes one).")
    # A process of its own, since production code imports nothing of `dev`.
    command = [sys.executable, "-m", "dev.database"]
    with Popen(command, cwd=EMBEDDED_HOME.parent, stdin=PIPE, stdout=PIPE, stderr=PIPE, text=True) as embedded:
        url = cast(IO[str], embedded.stdout).readline().strip()
        if not url:
            raise click.ClickException(cast(IO[str], embedded.stderr).read().strip())
        yield url


def reason(fault: DatabaseUnavailable) -> str:
    """The error message for an operator; unlike a client, an operator may see the driver's text."""
    cause = " ".join(str(fault.__cause__).split())
    return f"The database cannot be used: {cause or type(fault.__cause__).__name__}"


def add_list(commands: click.Group, things: str, statement: str, line: Callable[[Row], str]) -> None:
    """Add a command `list` to the group, which prints the rows of the statement, one line each."""

    @commands.command("list", help=f"List all {things}.")
    @as_json
    def list_command(as_json: bool) -> None:
        with database() as opened:
            rows = opened.many(statement)
        done(rows, as_json, *map(line, rows))


def add_delete(commands: click.Group, thing: str, help_text: str, principal_types: list[str]) -> None:
    """Add a command `delete` to the group, for one principal of these types."""

    @commands.command("delete", help=help_text)
    @click.argument("principal_id", metavar="ID")
    @as_json
    def delete_command(principal_id: str, as_json: bool) -> None:
        with database() as opened:
            deleted = opened.one("principal_delete", id=principal_id, principal_types=principal_types)
        existing(deleted, f"{thing} {principal_id}")
        done({"id": principal_id}, as_json, f"deleted {principal_id}")


def existing(row: Row | None, name: str) -> Row:
    """The row. Raises `ClickException` where the statement returned none."""
    if row is None:
        raise click.ClickException(f"There is no {name}.")
    return row


def inserted(row: Row | None, name: str) -> None:
    """Raises `ClickException` where the statement returned no row, since the name is taken."""
    if row is None:
        raise click.ClickException(f"There is a {name} already.")


def done(answer: Row | list[Row], as_json: bool, *lines: str) -> None:
    """Print what a command did or read, as JSON or as lines."""
    for line in [json.dumps(answer)] if as_json else lines:
        click.echo(line)


def is_person_id(text: str) -> bool:
    return is_id(text) and not text.startswith(("_", "#P_"))


def is_service_id(text: str) -> bool:
    return is_id(text) and text.startswith("_") and text[1:2] not in ("", "_")


def problem_with_texts(first_names: str, last_name: str, *optional: str | None) -> str | None:
    """An error message if a name, e-mail or organisation is unacceptable, else None."""
    if not 1 <= len(first_names) <= NAME_CHARACTERS or not 1 <= len(last_name) <= NAME_CHARACTERS:
        return f"A name has 1 to {NAME_CHARACTERS} characters."
    if any(text is not None and not is_id(text) for text in (first_names, last_name, *optional)):
        return f"Names, e-mail and organisation have no control character, and 1 to {ID_CHARACTERS} characters."
    return None
