-- One process migrates at a time; the lock goes with the transaction, so that it also holds behind PgBouncer.
SELECT pg_advisory_xact_lock(7211049)
