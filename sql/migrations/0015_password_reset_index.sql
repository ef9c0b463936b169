-- Finds the person of a reset token.
DROP INDEX CONCURRENTLY IF EXISTS principal_reset_token_hash;
CREATE UNIQUE INDEX CONCURRENTLY principal_reset_token_hash ON principal (reset_token_hash)
    WHERE reset_token_hash IS NOT NULL;
