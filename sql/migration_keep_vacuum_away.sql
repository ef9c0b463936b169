-- Waits for autovacuum, which PostgreSQL then ends after a second, and keeps it away until the transaction ends. ALTER TABLE
-- would wait with requests behind it. Behind this lock no request waits, so it has no timeout.
DO $$ BEGIN
    SET LOCAL lock_timeout = 0;
    EXECUTE (
        SELECT 'LOCK TABLE ' || string_agg(oid::regclass::text, ', ') || ' IN SHARE UPDATE EXCLUSIVE MODE'
        FROM pg_class
        WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace AND pg_has_role(relowner, 'USAGE')
    );
    SET LOCAL lock_timeout = '500ms';
END $$
