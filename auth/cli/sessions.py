"""flask sessions: list and end the sessions of users."""

import click
import msgspec

from auth.core.models import Session

from .common import as_json, database, done, existing

commands = click.Group("sessions", help="The sessions of users.")


@commands.command("list", help="List a user's sessions.")
@click.argument("user_id", metavar="ID")
@as_json
def list_command(user_id: str, as_json: bool) -> None:
    with database() as opened:
        existing(opened.one("principal_texts", id=user_id), f"user {user_id}")
        rows = opened.many("session_list_of", id=user_id)
    sessions = [msgspec.to_builtins(Session(**row)) for row in rows]
    done(sessions, as_json, *(f"{each['id']}\t{each['ipAddress']}\t{each['userAgent']}" for each in sessions))


@commands.command("end", help="End a user's sessions. After restoring a backup, end those of everyone.")
@click.argument("user_id", metavar="ID", required=False)
@click.option("--delegations", is_flag=True, help="End the user's delegations too.")
@click.option("--everyone", is_flag=True, help="End all sessions, delegations and reset tokens of all users.")
@as_json
def end(user_id: str | None, delegations: bool, everyone: bool, as_json: bool) -> None:
    if (user_id is None) != everyone or (everyone and delegations):
        raise click.ClickException("Give an ID, or --everyone alone.")
    ended = _end_of_everyone() if user_id is None else _end_of(user_id, delegations)
    done({"id": user_id, "ended": ended}, as_json, f"ended {ended}")


def _end_of(user_id: str, delegations: bool) -> int:
    with database() as opened:
        with opened.transaction() as transaction:
            existing(transaction.one("principal_lock", id=user_id), f"user {user_id}")
            if not delegations:
                return transaction.run("session_delete_of", id=user_id)
            ended = transaction.run("principal_end_tokens", id=user_id, kept_reference=None)
        opened.run("principal_mark_ended", id=user_id)
    return ended


def _end_of_everyone() -> int:
    with database() as opened:
        with opened.transaction() as transaction:
            transaction.run("people_mark_ended")
            ended = transaction.run("people_end_tokens")
        opened.run("people_mark_ended")
    return ended
