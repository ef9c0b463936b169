"""flask sessions: list and end the sessions of users."""

import click
import msgspec

from auth.core.models import Session

from .common import Answer, Group, database, required
from .users import end_tokens

commands = Group("sessions", help="The sessions of users.")


@commands.command("list", help="List a user's sessions.")
@click.argument("user_id", metavar="ID")
def list_command(user_id: str) -> Answer:
    with database() as opened:
        required(opened.one("principal_texts", id=user_id), f"There is no user {user_id}.")
        sessions = [msgspec.to_builtins(Session(**row)) for row in opened.many("session_list_of", id=user_id)]
    return Answer(sessions, [f"{each['id']}\t{each['ipAddress']}\t{each['userAgent']}" for each in sessions])


@commands.command("end", help="End a user's sessions. After restoring a backup, end those of everyone.")
@click.argument("user_id", metavar="ID", required=False)
@click.option("--delegations", is_flag=True, help="End the user's delegations too.")
@click.option("--everyone", is_flag=True, help="End all sessions, delegations and reset tokens of all users.")
def end(user_id: str | None, delegations: bool, everyone: bool) -> Answer:
    if (user_id is None) != everyone or (everyone and delegations):
        raise click.ClickException("Give an ID, or --everyone alone.")
    if user_id is None:
        with database() as opened:
            with opened.transaction() as transaction:
                transaction.run("people_mark_ended")
                ended = transaction.run("people_end_tokens")
            opened.run("people_mark_ended")
    elif delegations:
        ended = end_tokens("principal_lock", user_id)
    else:
        with database() as opened, opened.transaction() as transaction:
            required(transaction.one("principal_lock", id=user_id), f"There is no user {user_id}.")
            ended = transaction.run("session_delete_of", id=user_id)
    return Answer({"id": user_id, "ended": ended}, [f"ended {ended}"])
