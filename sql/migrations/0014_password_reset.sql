-- The person's only reset token, as its SHA-256, and its expiry. NULL: there is none.
ALTER TABLE principal
    ADD COLUMN reset_token_hash bytea,
    ADD COLUMN reset_expires_at timestamptz;

-- Finds the person of a reset token.
CREATE UNIQUE INDEX principal_reset_token_hash ON principal (reset_token_hash) WHERE reset_token_hash IS NOT NULL;
