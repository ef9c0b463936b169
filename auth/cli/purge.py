"""flask purge: deletes expired rows."""

from collections import Counter

import click

from auth.core.limits import CLAIM_DAYS, PURGE_ROWS

from .common import as_json, database, done


@click.command("purge", help="Delete what has expired, in small batches. Logins delete a little as well.")
@as_json
def purge(as_json: bool) -> None:
    deleted: Counter[str] = Counter()
    with database() as opened:
        while any((piece := opened.one("expired_delete", batch=PURGE_ROWS, claim_days=CLAIM_DAYS) or {}).values()):
            deleted.update(piece)
    counts = {table: deleted[table] for table in piece}
    done(counts, as_json, *(f"{table}\t{count}" for table, count in counts.items()))
