"""flask sla: the terms of use, which people accept."""

from typing import IO, Final

import click

from .common import Answer, Group, database

TEXT_BYTES: Final = 256 * 1024

commands = Group("sla", help="The terms of use. Users accept them once a version is published.")


@commands.command("publish", help="Publish a Markdown file in UTF-8 as the next version, which all users must accept.")
@click.argument("file", type=click.File("rb"))
def publish(file: IO[bytes]) -> Answer:
    content = file.read(TEXT_BYTES + 1)
    if not 1 <= len(content) <= TEXT_BYTES:
        raise click.ClickException(f"The terms have 1 to {TEXT_BYTES:,} bytes.")
    with database() as opened:
        published = opened.one("sla_insert", text=content.decode("utf-8-sig")) or {}
    return Answer(published, [f"published version {published['version']}"])


@commands.command("show", help="Print the latest version.")
def show() -> Answer:
    with database() as opened:
        latest = opened.one("sla_latest") or {"version": 0, "text": "", "published_at": None}
    return Answer(latest, [latest["text"]] if latest["version"] else ["no terms are published"])
