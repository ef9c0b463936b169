-- One process migrates at a time; the lock goes with the transaction, so that it also holds behind PgBouncer. A wait without
-- a timeout would never end: CREATE INDEX CONCURRENTLY waits for all statements that have begun, and this is one.
SELECT pg_advisory_xact_lock(7211049)
