"""What commands share: a database to work on, one line for a mistake, and output for people or for programs."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import click

from ..config import Misconfigured, read_database_url
from ..db import DirectDatabase, Row
from ..embedded import EmbeddedPostgres, locked
from ..errors import DatabaseUnavailable, Unstorable

EMBEDDED_HOME: Final = Path(__file__).parent.parent.parent / ".data"

COMMAND_SECONDS: Final = 30  # that a command waits for the one before it

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
    except Misconfigured as problem:
        raise click.ClickException(str(problem)) from None
    except DatabaseUnavailable as fault:
        raise click.ClickException(reason(fault)) from None
    except (Unstorable, UnicodeError):
        raise click.ClickException("The database cannot store this.") from None
    except (OSError, RuntimeError) as problem:  # the embedded database cannot be had
        raise click.ClickException(" ".join(str(problem).split())) from None


@contextmanager
def _url() -> Iterator[str]:
    url = read_database_url()
    if url is not None:
        yield url
        return
    if not EMBEDDED_HOME.exists():
        raise click.ClickException("DATABASE_URL is not set, and there is no embedded database (`make run` makes one).")
    server = EmbeddedPostgres(EMBEDDED_HOME)
    with locked(EMBEDDED_HOME / "serving", seconds=0) as nobody_serves:
        pass
    if not nobody_serves:  # `make run` has it up
        yield server.url()
        return
    with locked(EMBEDDED_HOME / "lock", COMMAND_SECONDS) as alone:
        if not alone:
            raise click.ClickException("The embedded database is in use by another command.")
        try:
            server.start()
            yield server.url()
        finally:
            server.stop()


def reason(fault: DatabaseUnavailable) -> str:
    """For whoever runs the deployment, who may read what the driver says."""
    cause = " ".join(str(fault.__cause__).split())
    return f"The database cannot be used: {cause or type(fault.__cause__).__name__}"


def show(answer: Row | Sequence[Row], as_json: bool, line: Callable[[Row], str]) -> None:
    """Print one thing, or a list of them: as JSON, or for people by a line each."""
    if as_json:
        click.echo(json.dumps(answer))
        return
    for row in [answer] if isinstance(answer, dict) else answer:
        click.echo(line(row))


def done(answer: dict[str, Any], as_json: bool, message: str) -> None:
    """Print that something was done."""
    click.echo(json.dumps(answer) if as_json else message)
