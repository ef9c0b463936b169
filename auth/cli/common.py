"""Shared by the commands: their database, error messages of one line, and output as text or JSON."""

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from subprocess import PIPE, Popen
from typing import IO, Any, Final, NamedTuple, cast

import click

from auth import text_of
from auth.config import Misconfigured, read
from auth.core.claims import is_id
from auth.core.errors import ApiError, DatabaseUnavailable, InternalError, Unavailable
from auth.core.limits import ID_CHARACTERS, NAME_CHARACTERS
from auth.db import Database, Row, open_connection

EMBEDDED_HOME: Final = Path(__file__).parent.parent.parent / ".data"


class Answer(NamedTuple):
    """The output of a command: the data with `--json`, otherwise the lines. If `failed`, the command exits with 1."""

    data: Row | list[Row]
    lines: Iterable[str]
    failed: bool = False


class Command(click.Command):
    """Prints the `Answer` of its function, as text or JSON. An error is printed as a message of one line."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.params.append(click.Option(["--json", "as_json"], is_flag=True, help="Print JSON."))

    def invoke(self, context: click.Context) -> None:
        as_json = context.params.pop("as_json")
        try:
            answer = super().invoke(context)
        except (ApiError, Misconfigured, UnicodeError) as problem:
            raise click.ClickException(message(problem)) from None
        for line in [json.dumps(answer.data)] if as_json else answer.lines:
            click.echo(line)
        context.exit(int(answer.failed))


class Group(click.Group):
    command_class = Command


class DirectDatabase(Database):
    """A connection for each statement or transaction, and no timeout for statements."""

    def __init__(self, url: str) -> None:
        super().__init__(lambda _: closing(open_connection(url, 0)))
        self.url = url

    @contextmanager
    def transaction(self) -> Iterator[Database]:
        """One transaction for statements that must agree. It is rolled back if the block raises."""
        with self.connection(True) as connection, connection.transaction():
            yield Database(lambda _: nullcontext(connection))


@contextmanager
def database() -> Iterator[DirectDatabase]:
    """The database of DATABASE_URL, else the embedded one."""
    if text_of(os.environ, "DATABASE_URL"):
        yield DirectDatabase(read(os.environ, "DATABASE_URL")["DATABASE_URL"])
        return
    if not EMBEDDED_HOME.exists():
        raise click.ClickException("DATABASE_URL is not set, and there is no embedded database (`make run` makes one).")
    # A process of its own, since production code imports nothing of `dev`.
    command = [sys.executable, "-m", "dev.database"]
    with Popen(command, cwd=EMBEDDED_HOME.parent, stdin=PIPE, stdout=PIPE, stderr=PIPE, text=True) as embedded:
        url = cast(IO[str], embedded.stdout).readline().strip()
        if not url:
            raise click.ClickException(cast(IO[str], embedded.stderr).read().strip())
        yield DirectDatabase(url)


def message(problem: BaseException) -> str:
    """The error message, in one line. An operator may see the text of the driver; a client may not."""
    text = problem.why if isinstance(problem, ApiError) else str(problem)
    if isinstance(problem, DatabaseUnavailable):
        text = f"The database cannot be used: {str(problem.__cause__) or problem.cause}"
    elif isinstance(problem, InternalError):
        text = "The database cannot store this."
        if "principal_uid_key" in str(problem.__cause__):  # the constraint that was violated
            text += " The sequence principal_uid_seq is behind. `flask doctor` prints the statement that repairs it."
    elif isinstance(problem, UnicodeError):
        text = "The input is not in UTF-8."
    elif isinstance(problem, Unavailable):
        text = f"{problem.cause}."
    return " ".join(text.split())


def add_list(commands: Group, things: str, statement: str, line: Callable[[Row], str]) -> None:
    @commands.command("list", help=f"List all {things}.")
    def list_command() -> Answer:
        with database() as opened:
            rows = opened.many(statement)
        return Answer(rows, map(line, rows))


def add_verb(commands: Group, verb: str, about: str, act: Callable[[str], object], key: str = "id") -> None:
    """Add a command to the group, which calls `act` with the id of a principal or the name of a login service."""

    @commands.command(verb, help=about)
    @click.argument("name", metavar=key.upper())
    def verb_command(name: str) -> Answer:
        act(name)
        return Answer({key: name}, [f"{verb}d {name}"])


def add_delete(commands: Group, thing: str, about: str, statement: str, key: str = "id", **parameters: object) -> None:
    """Add a command `delete` to the group. The statement returns no row if the id or name does not exist."""

    def delete(name: str) -> None:
        with database() as opened:
            required(opened.one(statement, **{key: name}, **parameters), f"There is no {thing} {name}.")

    add_verb(commands, "delete", about, delete, key)


def required(row: Row | None, problem: str) -> Row:
    """The row. Raises `ClickException(problem)` if the statement returned no row."""
    if row is None:
        raise click.ClickException(problem)
    return row


def check_person(user_id: str, **texts: str | None) -> None:
    """Raises `ClickException` for an unacceptable id, name, e-mail or organisation."""
    if not is_id(user_id) or user_id.startswith(("_", "#P_")):
        raise click.ClickException(
            f"An id has 1 to {ID_CHARACTERS} characters, no control character, and starts with neither _ nor #P_."
        )
    for name, text in texts.items():
        most = NAME_CHARACTERS if name in ("first_names", "last_name") else ID_CHARACTERS
        if text is not None and not (is_id(text) and len(text) <= most):
            raise click.ClickException(f"{name} has 1 to {most} characters, none of them a control character.")
