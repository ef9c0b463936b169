"""flask login-services: the applications that people log in to."""

from typing import Any

import click

from auth.core.claims import is_id
from auth.core.limits import ID_CHARACTERS, IDLE_TIMEOUT_MINIMUM_SECONDS
from auth.core.origins import origin_of
from auth.db import Row

from .common import add_list, as_json, database, done, existing, inserted

MAX_TTL_SECONDS = 100 * 365.25 * 24 * 60 * 60

commands = click.Group("login-services", help="The applications that people log in to.")


@commands.command("create", help="Create a login service: the `service` that a login names.")
@click.argument("name")
@click.option("--endpoint", required=True, help="The http(s) URL that a browser is sent to after logging in.")
@click.option("--mode", type=click.Choice(["WEB", "APPLICATION"]), required=True)
@click.option(
    "--refresh-token-ttl",
    "refresh_token_ttl_seconds",
    type=click.IntRange(1, int(MAX_TTL_SECONDS)),
    metavar="SECONDS",
    help="How long its refresh tokens live. Without it they do not expire by themselves.",
)
@click.option(
    "--idle-timeout",
    "idle_timeout_seconds",
    type=click.IntRange(IDLE_TIMEOUT_MINIMUM_SECONDS, int(MAX_TTL_SECONDS)),
    metavar="SECONDS",
    help="After how long without a refresh a session expires. Without it never.",
)
@as_json
def create(name: str, endpoint: str, as_json: bool, **settings: Any) -> None:
    if not is_id(name):
        raise click.ClickException(f"A name has 1 to {ID_CHARACTERS} characters, none of them a control character.")
    if not (origin_of(endpoint) or "").startswith(("http://", "https://")):
        raise click.ClickException("The endpoint must be an http or https URL in ASCII, without user info and spaces.")
    with database() as opened:
        created = opened.one("login_service_insert", name=name, endpoint=endpoint, **settings)
    inserted(created, f"login service {name}")
    done({"name": name}, as_json, f"created {name}")


@commands.command("delete", help="Delete a login service. Sessions made through it go on.")
@click.argument("name")
@as_json
def delete(name: str, as_json: bool) -> None:
    with database() as opened:
        existing(opened.one("login_service_delete", name=name), f"login service {name}")
    done({"name": name}, as_json, f"deleted {name}")


def _line(row: Row) -> str:
    ttl, idle = row["refresh_token_ttl_seconds"], row["idle_timeout_seconds"]
    expiry = ", ".join(text for text in (ttl and f"{ttl} s", idle and f"{idle} s idle") if text)
    return f"{row['name']}\t{row['mode']}\t{row['endpoint']}\t{expiry or 'no expiry'}"


add_list(commands, "login services", "login_service_list", _line)
