"""flask db: migrations."""

from .common import Answer, Group, database
from .migrations import all_migrations, migrate, pending
from .purge import end_excess

commands = Group("db", help="The database schema.")


@commands.command("migrate", help="Apply the migrations that are pending.")
def migrate_command() -> Answer:
    with database() as opened:
        applied = migrate(opened)
        end_excess(opened)  # release 1.1.0 had no bounds: ending all tokens of a person took too long
    return Answer({"applied": applied}, [f"applied {name}" for name in applied] or ["nothing to apply"])


@commands.command("status", help="List applied and pending migrations; exits with 1 while one is pending.")
def status_command() -> Answer:
    with database() as opened:
        waiting = pending(opened)
    applied = [migration.name for migration in all_migrations() if migration.name not in waiting]
    lines = [*(f"applied {name}" for name in applied), *(f"pending {name}" for name in waiting)]
    return Answer({"applied": applied, "pending": waiting}, lines, failed=bool(waiting))
