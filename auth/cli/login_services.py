"""flask login-services: the applications that people log in to."""

from collections.abc import Callable
from typing import Any

import click

from auth.core.claims import is_id
from auth.core.limits import ID_CHARACTERS, IDLE_TIMEOUT_MINIMUM_SECONDS
from auth.core.origins import origin_of
from auth.db import Row

from .common import Answer, Group, add_delete, add_list, database, required

MAX_SECONDS = 36_525 * 24 * 60 * 60

commands = Group("login-services", help="The applications that people log in to.")


def seconds(option: str, least: int, help_text: str) -> Callable[[Callable[..., Answer]], Callable[..., Answer]]:
    """An option for a time in seconds, up to a hundred years."""
    name = f"{option[2:].replace('-', '_')}_seconds"
    return click.option(option, name, type=click.IntRange(least, MAX_SECONDS), metavar="SECONDS", help=help_text)


@commands.command("create", help="Create a login service: the `service` that a login names.")
@click.argument("name")
@click.option("--endpoint", required=True, help="The http(s) URL that a browser is sent to after logging in.")
@click.option("--mode", type=click.Choice(["WEB", "APPLICATION"]), required=True)
@seconds("--refresh-token-ttl", 1, "How long its refresh tokens live. By default they do not expire.")
@seconds(
    "--idle-timeout", IDLE_TIMEOUT_MINIMUM_SECONDS, "How long a session lives without a refresh. By default for ever."
)
def create(name: str, endpoint: str, **settings: Any) -> Answer:
    if not is_id(name):
        raise click.ClickException(f"A name has 1 to {ID_CHARACTERS} characters, none of them a control character.")
    if not (origin_of(endpoint) or "").startswith(("http://", "https://")):
        raise click.ClickException("The endpoint must be an http or https URL in ASCII, without user info and spaces.")
    with database() as opened:
        created = opened.one("login_service_insert", name=name, endpoint=endpoint, **settings)
    required(created, f"There is a login service {name} already.")
    return Answer({"name": name}, [f"created {name}"])


def _line(row: Row) -> str:
    ttl, idle = row["refresh_token_ttl_seconds"], row["idle_timeout_seconds"]
    expiry = ", ".join(text for text in (ttl and f"{ttl} s", idle and f"{idle} s idle") if text)
    return f"{row['name']}\t{row['mode']}\t{row['endpoint']}\t{expiry or 'no expiry'}"


add_list(commands, "login services", "login_service_list", _line)
add_delete(
    commands, "login service", "Delete a login service. Sessions made through it go on.", "login_service_delete", "name"
)
