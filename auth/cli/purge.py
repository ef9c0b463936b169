"""flask purge: deletes expired rows, and ends the sessions and delegations of a person beyond the bounds."""

from collections import Counter
from typing import Final

import click

from auth.core.limits import CLAIM_DAYS, DELEGATIONS, PURGE_ROWS, SESSIONS
from auth.db import Database

from .common import Answer, Command, database

EXCESS_ROWS: Final = 10_000  # the most that one statement ends, since the person's logins wait for it


@click.command("purge", cls=Command, help="Delete what has expired or is beyond the bounds. Logins delete some, too.")
def purge() -> Answer:
    with database() as opened:
        deleted = Counter(refresh_token=end_excess(opened))
        while any((piece := opened.one("expired_delete", batch=PURGE_ROWS, claim_days=CLAIM_DAYS) or {}).values()):
            deleted.update(piece)
    counts = {table: deleted[table] for table in piece}
    return Answer(counts, [f"{table}\t{count}" for table, count in counts.items()])


def end_excess(database: Database) -> int:
    """End the sessions and delegations beyond the bounds, and return how many. Release 1.1.0 had no bounds."""
    total = 0
    for excess in database.many("excess_list", sessions=SESSIONS, delegations=DELEGATIONS):
        while ended := database.run("excess_delete", batch=EXCESS_ROWS, **excess):
            total += ended
    return total
