-- Finds the person of a reset token. Reads go on while it is built, and so do logins.
CREATE UNIQUE INDEX principal_reset_token_hash ON principal (reset_token_hash) WHERE reset_token_hash IS NOT NULL;
