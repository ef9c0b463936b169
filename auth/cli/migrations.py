"""Migrations: the numbered files of `sql/migrations`, each applied once. Their rules are in docs/operations.md."""

from time import sleep
from typing import Final, NamedTuple

from auth.config import Misconfigured
from auth.core.errors import DatabaseUnavailable
from auth.db import SQL_FOLDER, Database

from .common import DirectDatabase

PAUSE_SECONDS: Final = 1.5  # other processes may migrate meanwhile, or end their long transactions


class Migration(NamedTuple):
    version: int
    name: str
    sql: str


def all_migrations() -> list[Migration]:
    paths = sorted((SQL_FOLDER / "migrations").glob("*.sql"))
    return [Migration(int(path.stem.partition("_")[0]), path.stem, path.read_text()) for path in paths]


def migrate(database: DirectDatabase) -> list[str]:
    """Apply the pending migrations and return their names. Raises `Misconfigured` if the encoding is not UTF8."""
    facts = database.one("server_facts")
    if not facts or facts["encoding"] != "UTF8":
        raise Misconfigured("The encoding of the database must be UTF8.")
    return list(iter(lambda: _apply_next(database), None))


def pending(database: Database) -> list[str]:
    table = database.one("migration_table_exists")
    waiting = _waiting(database) if table and table["present"] else all_migrations()
    return [migration.name for migration in waiting]


def _apply_next(database: DirectDatabase) -> str | None:
    while True:
        try:
            return _try_next(database)
        except DatabaseUnavailable as fault:
            if fault.cause != "LockNotAvailable":
                raise
        sleep(PAUSE_SECONDS)


def _try_next(database: DirectDatabase) -> str | None:
    with database.transaction() as transaction:
        transaction.one("migration_lock")  # processes that start together take turns
        transaction.run("migration_table")
        migration = next(iter(_waiting(transaction)), None)
        if migration is None:
            return None
        if "CONCURRENTLY" in migration.sql:  # cannot run in a transaction; after an interruption it runs again
            for statement in migration.sql.split(";\n"):
                _execute(database, statement)
        else:
            transaction.run("migration_keep_vacuum_away")
            _execute(transaction, migration.sql)
        transaction.run("migration_insert", version=migration.version, name=migration.name)
        return migration.name


def _execute(database: Database, statements: str) -> None:
    """Run the statements one after another. PostgreSQL makes them one transaction."""
    with database.connection(True) as connection:
        connection.execute(statements)


def _waiting(database: Database) -> list[Migration]:
    done = {row["version"] for row in database.many("migration_list")}
    return [migration for migration in all_migrations() if migration.version not in done]
