"""flask db: migrations."""

import click

from .common import as_json, database, done
from .migrations import all_migrations, migrate, pending
from .purge import end_excess

commands = click.Group("db", help="The database schema.")


@commands.command("migrate", help="Apply the migrations that are pending.")
@as_json
def migrate_command(as_json: bool) -> None:
    with database() as opened:
        if applied := migrate(opened):
            end_excess(opened)  # of before the bounds: ending everything of one person would take too long
    done({"applied": applied}, as_json, *([f"applied {name}" for name in applied] or ["nothing to apply"]))


@commands.command("status", help="List applied and pending migrations; exits with 1 while one is pending.")
@as_json
def status_command(as_json: bool) -> None:
    with database() as opened:
        waiting = pending(opened)
    applied = [migration.name for migration in all_migrations() if migration.name not in waiting]
    lines = [*(f"applied {name}" for name in applied), *(f"pending {name}" for name in waiting)]
    done({"applied": applied, "pending": waiting}, as_json, *lines)
    if waiting:
        raise click.exceptions.Exit(1)
