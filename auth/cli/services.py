"""flask services: programs with a refresh token of their own, and their policies for extension."""

import re

import click

from auth.core import limits, refresh_tokens
from auth.core.claims import is_id
from auth.core.scopes import Scope
from auth.db import Database, Row

from .common import Answer, Group, add_delete, add_list, database, required

commands = Group("services", help="Services, and the scopes they may ask for when they extend a user's token.")


@commands.command("create", help="Create a service. Prints its refresh token once.")
@click.argument("service_id", metavar="_ID")
@click.option("--scope", "scopes", multiple=True, help="A scope it may ask for, such as files:read. Can be repeated.")
def create(service_id: str, scopes: tuple[str, ...]) -> Answer:
    if not is_id(service_id) or not re.match("_[^_]", service_id):
        raise click.ClickException("A service's id starts with one _, has 2 to 255 characters, no control character.")
    policy = _canonical(scopes)
    with database() as opened, opened.transaction() as transaction:
        created = transaction.one("service_insert", id=service_id, scopes=policy)
        required(created, f"There is a principal {service_id} already.")
        return _with_new_token(transaction, {"id": service_id, "scopes": sorted(policy)})


@commands.command("scopes", help="Show what a service may ask for, after adding to it and removing from it.")
@click.argument("service_id", metavar="_ID")
@click.option("--add", multiple=True, metavar="SCOPE")
@click.option("--remove", multiple=True, metavar="SCOPE")
def scopes_command(service_id: str, add: tuple[str, ...], remove: tuple[str, ...]) -> Answer:
    changes = {"added": _canonical(add), "removed": _canonical(remove)}
    with database() as opened, opened.transaction() as transaction:
        required(transaction.one("service_find", id=service_id), _no_service(service_id))
        [service] = transaction.many("service_scope_change", service_id=service_id, **changes)
    return Answer(service, [_line(service)])


@commands.command("rotate", help="Print a new refresh token of a service, once, and end the previous one.")
@click.argument("service_id", metavar="_ID")
@click.option("--keep", type=click.IntRange(1, 24 * 60), metavar="MINUTES", help="How long the previous one works.")
def rotate(service_id: str, keep: int | None) -> Answer:
    with database() as opened, opened.transaction() as transaction:
        service = required(transaction.one("service_find", id=service_id), _no_service(service_id))
        transaction.run("service_token_expire" if keep else "service_token_delete", service_id=service_id, minutes=keep)
        return _with_new_token(transaction, service)


def _with_new_token(transaction: Database, service: Row) -> Answer:
    refresh_token = refresh_tokens.generate()
    stored = {"token_hash": refresh_tokens.digest(refresh_token), "access_token_lifetime_ms": limits.ACCESS_TOKEN_MS}
    transaction.run("service_token_insert", service_id=service["id"], **stored)
    answer = service | {"refreshToken": refresh_token}
    return Answer(answer, [f"refresh token of {service['id']}, shown only now:\n{refresh_token}"])


def _no_service(service_id: str) -> str:
    return f"There is no service {service_id}."


def _canonical(scopes: tuple[str, ...]) -> list[str]:
    return list(dict.fromkeys(str(Scope.parse(scope)) for scope in scopes))


def _line(row: Row) -> str:
    return f"{row['id']}\t{' '.join(row['scopes'])}".rstrip()


add_list(commands, "services with their scopes", "service_list", _line)
add_delete(commands, "service", "Delete a service and end its tokens.", "principal_delete", principal_types=["service"])
