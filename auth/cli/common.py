"""What commands share: a database to work on, one line for a mistake, and output for people or for programs."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE, Popen
from typing import IO, Any, Final, cast

import click

from auth.config import Misconfigured, read_database_url
from auth.core.errors import DatabaseUnavailable, InternalError
from auth.db import DirectDatabase, Row
from auth.migrations import UnusableDatabase

EMBEDDED_HOME: Final = Path(__file__).parent.parent.parent / ".data"


as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@contextmanager
def database() -> Iterator[DirectDatabase]:
    """The database of DATABASE_URL, or the embedded one where there is one. Mistakes end the command in a line."""
    with database_url() as url:
        yield DirectDatabase(url)


@contextmanager
def database_url() -> Iterator[str]:
    """The address of that database, as long as the block lasts. Mistakes end the command in a line."""
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
    url = read_database_url()
    if url is not None:
        yield url
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
    """Give the group a command `list`, which prints the statement's rows, for people by a line each."""

    @commands.command("list", help=f"List all {things}.")
    @as_json
    def list_command(as_json: bool) -> None:
        with database() as opened:
            rows = opened.many(statement)
        show(rows, as_json, line)


def existing(row: Row | None, name: str) -> Row:
    """The row. Raises `ClickException` where the statement returned none."""
    if row is None:
        raise click.ClickException(f"There is no {name}.")
    return row


def show(answer: Row | Sequence[Row], as_json: bool, line: Callable[[Row], str]) -> None:
    """Print one row or a list of rows, as JSON or as one line each."""
    if as_json:
        click.echo(json.dumps(answer))
        return
    for row in [answer] if isinstance(answer, dict) else answer:
        click.echo(line(row))


def done(answer: dict[str, Any], as_json: bool, message: str) -> None:
    """Print that something was done."""
    click.echo(json.dumps(answer) if as_json else message)
