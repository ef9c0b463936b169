-- The person's only reset token, as its SHA-256, and its expiry. NULL: there is none.
ALTER TABLE principal
    ADD COLUMN reset_token_hash bytea,
    ADD COLUMN reset_expires_at timestamptz;
