-- Keeps autovacuum away from all tables until the transaction ends. PostgreSQL cancels an autovacuum that this lock has
-- waited for longer than a second. Otherwise ALTER TABLE would wait for autovacuum, and requests for ALTER TABLE. No
-- request waits for this lock, so it has no timeout.
DO $$ BEGIN
    SET LOCAL lock_timeout = 0;
    EXECUTE (
        SELECT 'LOCK TABLE ' || string_agg(oid::regclass::text, ', ') || ' IN SHARE UPDATE EXCLUSIVE MODE'
        FROM pg_class
        WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace AND pg_has_role(relowner, 'USAGE')
    );
    SET LOCAL lock_timeout = '500ms';
END $$
