"""flask services: programs with a refresh token of their own, and their policies for extension."""

import re

import click

from auth.core import limits, refresh_tokens
from auth.core.claims import is_id
from auth.core.errors import MalformedScope
from auth.core.scopes import Scope
from auth.db import Row, Transaction

from .common import Answer, Group, add_delete, add_list, database, existing, inserted

commands = Group("services", help="Services, and the scopes they may ask for when they extend a user's token.")


@commands.command("create", help="Create a service. Prints its refresh token once.")
@click.argument("service_id", metavar="_ID")
@click.option("--scope", "scopes", multiple=True, help="A scope it may ask for; can be given more than once.")
def create(service_id: str, scopes: tuple[str, ...]) -> Answer:
    if not is_id(service_id) or not re.match("_[^_]", service_id):
        raise click.ClickException("A service's id starts with one _, has 2 to 255 characters, no control character.")
    policy = _canonical(scopes)
    with database() as opened, opened.transaction() as transaction:
        inserted(transaction.one("service_insert", id=service_id), f"principal {service_id}")
        transaction.run("service_scope_insert", service_id=service_id, scopes=policy)
        refresh_token = _insert_token(transaction, service_id)
    answer = {"id": service_id, "scopes": sorted(policy), "refreshToken": refresh_token}
    return Answer(answer, [f"created {service_id}; its refresh token, which is not kept:\n{refresh_token}"])


@commands.command("scopes", help="Show what a service may ask for, after adding to it and removing from it.")
@click.argument("service_id", metavar="_ID")
@click.option("--add", multiple=True, metavar="SCOPE")
@click.option("--remove", multiple=True, metavar="SCOPE")
def scopes_command(service_id: str, add: tuple[str, ...], remove: tuple[str, ...]) -> Answer:
    added, removed = _canonical(add), _canonical(remove)
    with database() as opened, opened.transaction() as transaction:
        existing(transaction.one("service_find", id=service_id), f"service {service_id}")
        transaction.run("service_scope_insert", service_id=service_id, scopes=added)
        transaction.run("service_scope_delete", service_id=service_id, scopes=removed)
        service = transaction.one("service_find", id=service_id) or {}
    return Answer(service, [_line(service)])


@commands.command("rotate", help="Print a new refresh token of a service, once, and end the previous one.")
@click.argument("service_id", metavar="_ID")
@click.option("--keep", type=click.IntRange(1, 24 * 60), metavar="MINUTES", help="How long the previous one works.")
def rotate(service_id: str, keep: int | None) -> Answer:
    with database() as opened, opened.transaction() as transaction:
        service = existing(transaction.one("service_find", id=service_id), f"service {service_id}")
        end = "service_token_expire" if keep else "service_token_delete"
        transaction.run(end, service_id=service_id, minutes=keep)
        refresh_token = _insert_token(transaction, service_id)
    answer = service | {"refreshToken": refresh_token}
    return Answer(answer, [f"new refresh token of {service_id}, shown only now:\n{refresh_token}"])


def _insert_token(transaction: Transaction, service_id: str) -> str:
    refresh_token = refresh_tokens.generate()
    grant = {"scopes": ["all:write"], "access_token_lifetime_ms": limits.ACCESS_TOKEN_MS}
    digest = refresh_tokens.digest(refresh_token)
    transaction.run("refresh_token_insert_service", token_hash=digest, principal_id=service_id, **grant)
    return refresh_token


def _canonical(scopes: tuple[str, ...]) -> list[str]:
    try:
        return list(dict.fromkeys(str(Scope.parse(scope)) for scope in scopes))
    except MalformedScope:
        raise click.ClickException("A scope looks like files.listAtDirectory:read.") from None


def _line(row: Row) -> str:
    return f"{row['id']}\t{' '.join(row['scopes'])}".rstrip()


add_list(commands, "services with their scopes", "service_list", _line)
add_delete(commands, "service", "Delete a service and end its tokens.", "principal_delete", principal_types=["service"])
