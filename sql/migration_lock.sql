-- One process migrates at a time; the lock goes with the transaction, so that it also holds behind PgBouncer. Each wait for
-- a lock is bounded, this one too: requests wait behind a migration that waits for a table, and CREATE INDEX CONCURRENTLY
-- waits for all statements that have begun, and so for this one.
SELECT set_config('lock_timeout', '500ms', true), pg_advisory_xact_lock(7211049)
