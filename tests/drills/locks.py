"""Watches the locks of a database while something else works on it."""

import threading
import time
from dataclasses import dataclass, field

import psycopg

BLOCKING = ["ShareLock", "ShareRowExclusiveLock", "ExclusiveLock", "AccessExclusiveLock"]  # these block writes
LOCKS = """
    SELECT pid, relation::regclass::text, mode, granted, extract(epoch FROM clock_timestamp() - waitstart)::float8
    FROM pg_locks
    WHERE CASE
        WHEN granted THEN mode = ANY (%s) AND relation IN (
            SELECT oid FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
        )
        -- CREATE INDEX CONCURRENTLY and what waits for autovacuum let others pass.
        ELSE locktype IN ('relation', 'tuple', 'transactionid') AND mode <> 'ShareUpdateExclusiveLock'
    END
"""
SAMPLE_SECONDS = 0.02


@dataclass
class LockWatch:
    """The longest wait for a lock, the longest block of writes by a lock, and the longest time between two samples."""

    url: str
    longest_wait: float = 0
    longest_gap: float = 0
    held: dict[str, float] = field(default_factory=dict)  # by table and mode

    def __enter__(self) -> "LockWatch":
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()

    @property
    def longest_held(self) -> float:
        return max(self.held.values(), default=0)

    def _watch(self) -> None:
        since: dict[tuple[int, str, str], float] = {}
        last = time.monotonic()
        with psycopg.connect(self.url, autocommit=True) as connection:
            while not self._ending.wait(SAMPLE_SECONDS):
                rows = connection.execute(LOCKS, [BLOCKING]).fetchall()
                now = time.monotonic()
                self.longest_wait = max([self.longest_wait, *(row[4] or 0 for row in rows if not row[3])])
                for (_, table, mode), start in since.items():  # held until this sample at the latest
                    name = f"{table} {mode}"
                    self.held[name] = max(self.held.get(name, 0), now - start)
                # A lock that is new here was taken after the last sample.
                since = {row[:3]: since.get(row[:3], last) for row in rows if row[3]}
                self.longest_gap, last = max(self.longest_gap, now - last), now
