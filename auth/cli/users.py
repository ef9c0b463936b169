"""flask users: people who log in by password."""

import sys
from typing import Any

import click

from auth.core import limits, password_rules, passwords, refresh_tokens
from auth.core.errors import ApiError
from auth.core.models import Role
from auth.db import Row

from .common import add_delete, add_list, as_json, database, done, existing, inserted, is_person_id, problem_with_texts
from .user_import import ID_RULE, import_command

commands = click.Group("users", help="People who log in by password.")
commands.add_command(import_command)

password_stdin = click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")


@commands.command("create", help="Create a user. Asks for the password.")
@click.argument("user_id", metavar="ID")
@click.option("--role", type=click.Choice([Role.USER, Role.ADMIN]), required=True)
@click.option("--first-names", required=True)
@click.option("--last-name", required=True)
@click.option("--email")
@password_stdin
@as_json
def create(user_id: str, role: str, password_stdin: bool, as_json: bool, **texts: Any) -> None:
    if not is_person_id(user_id):
        raise click.ClickException(ID_RULE)
    if problem := problem_with_texts(texts["first_names"], texts["last_name"], texts["email"]):
        raise click.ClickException(problem)
    row = {"id": user_id, "role": Role(role).value}
    password = _ask_password(password_stdin, user_id, *texts.values())
    texts |= {"principal_type": "password", "org_id": None, "password_hash": passwords.hash_password(password)}
    with database() as opened:
        created = opened.one("principal_insert", **row, **texts)
    inserted(created, f"principal {user_id}")
    done(row, as_json, f"created {user_id}")


@commands.command("set-password", help="Give a user a new password, which ends all their refresh tokens.")
@click.argument("user_id", metavar="ID")
@password_stdin
@as_json
def set_password(user_id: str, password_stdin: bool, as_json: bool) -> None:
    with database() as opened:
        user = opened.one("principal_texts", id=user_id)
    password = _ask_password(password_stdin, *existing(user, f"user {user_id}").values())
    _change_and_end_tokens("principal_set_password", user_id, password_hash=passwords.hash_password(password))
    done({"id": user_id}, as_json, f"new password for {user_id}")


@commands.command("reset-password", help="Print a token, once, with which a user can set a new password.")
@click.argument("user_id", metavar="ID")
@click.option("--valid-for", type=click.IntRange(1, 24 * 60), metavar="MINUTES", default=limits.RESET_TOKEN_MINUTES)
@as_json
def reset_password(user_id: str, valid_for: int, as_json: bool) -> None:
    token = refresh_tokens.generate()
    token_hash = refresh_tokens.digest(token)
    with database() as opened:
        user = opened.one("password_reset_start", id=user_id, reset_token_hash=token_hash, valid_minutes=valid_for)
    answer = existing(user, f"user {user_id} who can log in") | {"resetToken": token}
    done(answer, as_json, f"reset token of {user_id}, which is not kept:\n{token}")


def _add_switch(command: str, statement: str, help_text: str) -> None:
    @commands.command(command, help=help_text)
    @click.argument("user_id", metavar="ID")
    @as_json
    def switch(user_id: str, as_json: bool) -> None:
        _change_and_end_tokens(statement, user_id)
        done({"id": user_id}, as_json, f"{command}d {user_id}")


def _change_and_end_tokens(statement: str, user_id: str, **parameters: object) -> None:
    """The change locks the person's row: a parallel login is either ended here, or refused."""
    with database() as opened:
        with opened.transaction() as transaction:
            existing(transaction.one(statement, id=user_id, **parameters), f"user {user_id}")
            transaction.run("principal_end_tokens", id=user_id, kept_reference=None)
        opened.run("principal_mark_ended", id=user_id)


def _ask_password(from_stdin: bool, *own_texts: str | None) -> str:
    try:
        if from_stdin:
            password = sys.stdin.buffer.read().decode().removesuffix("\n").removesuffix("\r")
        else:
            password = click.prompt("Password", hide_input=True, confirmation_prompt=True)
        password_rules.check(password, *own_texts)
    except UnicodeError:
        raise click.ClickException("A password is text in UTF-8.") from None
    except ApiError as refusal:
        raise click.ClickException(refusal.why) from None
    return password


def _line(row: Row) -> str:
    state = "disabled" if row["disabled"] else "" if row["has_password"] else "no password"
    return f"{row['id']}\t{row['role']}\t{row['first_names']} {row['last_name']}\t{state}".rstrip()


add_list(commands, "users", "principal_list", _line)
add_delete(commands, "user", "Delete a user with all their refresh tokens.", ["password", "wayf"])
_add_switch("disable", "principal_disable", "Disable a user's login, and end all their refresh tokens.")
_add_switch("enable", "principal_enable", "Allow a disabled user to log in again.")
