"""flask users: people who log in by password."""

import sys
from functools import partial

import click

from auth.core import limits, password_rules, passwords, refresh_tokens
from auth.core.models import Role
from auth.db import Row

from .common import Answer, Group, add_delete, add_list, add_verb, check_person, database, required
from .second_factor import reset_second_factor
from .user_import import import_command

commands = Group("users", help="People who log in by password.")
commands.add_command(import_command)
commands.add_command(reset_second_factor)

password_stdin = click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")


@commands.command("create", help="Create a user. Asks for the password.")
@click.argument("user_id", metavar="ID")
@click.option("--role", type=click.Choice([Role.USER, Role.ADMIN]), required=True)
@click.option("--first-names", required=True)
@click.option("--last-name", required=True)
@click.option("--email")
@password_stdin
def create(
    user_id: str, role: str, first_names: str, last_name: str, email: str | None, password_stdin: bool
) -> Answer:
    own_texts = {"first_names": first_names, "last_name": last_name, "email": email}
    check_person(user_id, **own_texts)
    password = _ask_password(password_stdin, user_id, *own_texts.values())
    row = {"id": user_id, "role": Role(role).value}
    others = {"principal_type": "password", "org_id": None, "password_hash": passwords.hash_password(password)}
    with database() as opened:
        created = opened.one("principal_insert", **row, **own_texts, **others)
    required(created, f"There is a principal {user_id} already.")
    return Answer(row, [f"created {user_id}"])


@commands.command("set-password", help="Give a user a new password, which ends all their refresh tokens.")
@click.argument("user_id", metavar="ID")
@password_stdin
def set_password(user_id: str, password_stdin: bool) -> Answer:
    with database() as opened:
        user = opened.one("principal_texts", id=user_id)
    password = _ask_password(password_stdin, *required(user, f"There is no user {user_id}.").values())
    end_tokens("principal_set_password", user_id, password_hash=passwords.hash_password(password))
    return Answer({"id": user_id}, [f"new password for {user_id}"])


@commands.command("reset-password", help="Print a token, once, with which a user can set a new password.")
@click.argument("user_id", metavar="ID")
@click.option("--valid-for", type=click.IntRange(1, 24 * 60), metavar="MINUTES", default=limits.RESET_TOKEN_MINUTES)
def reset_password(user_id: str, valid_for: int) -> Answer:
    token = refresh_tokens.generate()
    token_hash = refresh_tokens.digest(token)
    with database() as opened:
        user = opened.one("password_reset_start", id=user_id, reset_token_hash=token_hash, valid_minutes=valid_for)
    answer = required(user, f"There is no user {user_id} who can log in.") | {"resetToken": token}
    return Answer(answer, [f"reset token of {user_id}, which is not kept:\n{token}"])


def end_tokens(statement: str, user_id: str, **parameters: object) -> int:
    """Run the statement, then end all tokens of the person. Returns how many. The statement must lock the person."""
    with database() as opened:
        with opened.transaction() as transaction:
            required(transaction.one(statement, id=user_id, **parameters), f"There is no user {user_id}.")
            ended = transaction.run("principal_end_tokens", id=user_id)
        opened.run("principal_mark_ended", id=user_id)
    return ended


def _ask_password(from_stdin: bool, *own_texts: str | None) -> str:
    if from_stdin:
        password = sys.stdin.buffer.read().decode().removesuffix("\n").removesuffix("\r")
    else:
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    password_rules.check(password, *own_texts)
    return password


def _line(row: Row) -> str:
    state = "disabled" if row["disabled"] else "" if row["has_password"] else "no password"
    states = ", ".join(filter(None, (state, row["secondFactor"] and "second factor")))
    return f"{row['id']}\t{row['role']}\t{row['first_names']} {row['last_name']}\t{states}".rstrip()


add_list(commands, "users", "principal_list", _line)
add_delete(commands, "user", "Delete a user and all tokens.", "principal_delete", principal_types=["password", "wayf"])
add_verb(commands, "disable", "Disable a user, and end all their tokens.", partial(end_tokens, "principal_disable"))
add_verb(commands, "enable", "Allow a disabled user to log in again.", partial(end_tokens, "principal_enable"))
