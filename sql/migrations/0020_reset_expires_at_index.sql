-- Finds the reset tokens that have expired.
DROP INDEX CONCURRENTLY IF EXISTS principal_reset_expires_at;
CREATE INDEX CONCURRENTLY principal_reset_expires_at ON principal (reset_expires_at)
    WHERE reset_expires_at IS NOT NULL;
