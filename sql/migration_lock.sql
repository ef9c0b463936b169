-- Lets one process migrate at a time. The lock ends with the transaction, so it also works behind PgBouncer. The
-- timeout is for every lock of a migration, since requests wait behind a migration that waits for a table. It is for
-- this lock too, since CREATE INDEX CONCURRENTLY waits for every statement that has begun, and so for this one.
SELECT set_config('lock_timeout', '500ms', true), pg_advisory_xact_lock(7211049)
