-- The stored, revocable credentials: people's sessions, services' own tokens, and delegations made by token
-- extension. Only the SHA-256 of a token is here, so that a leaked dump opens no session.
CREATE TABLE refresh_token (
    token_hash bytea PRIMARY KEY CHECK (octet_length(token_hash) = 32),
    principal_id text NOT NULL REFERENCES principal (id) ON DELETE CASCADE,
    public_session_reference uuid NOT NULL DEFAULT gen_random_uuid() UNIQUE,
    -- The scopes and the lifetime of every access token minted from this row.
    scopes text[] NOT NULL CHECK (cardinality(scopes) > 0),
    access_token_lifetime_ms bigint NOT NULL CHECK (access_token_lifetime_ms BETWEEN 1 AND 86400000),
    -- The service that made it by extension; deleting the service deletes it.
    extended_by text REFERENCES principal (id) ON DELETE CASCADE,
    extended_by_chain text[] NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    -- NULL: does not expire by itself.
    expires_at timestamptz,
    ip_address inet,
    user_agent text CHECK (char_length(user_agent) <= 4096),

    CONSTRAINT the_chain_ends_in_who_extended CHECK (
        coalesce(extended_by_chain[cardinality(extended_by_chain)], '') = coalesce(extended_by, '')
    ),
    CONSTRAINT extended_tokens_expire CHECK (extended_by IS NULL OR expires_at IS NOT NULL)
);

-- Lists a person's sessions, newest first.
CREATE INDEX refresh_token_session ON refresh_token
    (principal_id, created_at DESC, public_session_reference) WHERE extended_by IS NULL;

-- Ends all of a principal's tokens, extended ones too, and serves the foreign keys.
CREATE INDEX refresh_token_principal ON refresh_token (principal_id);
CREATE INDEX refresh_token_extended_by ON refresh_token (extended_by) WHERE extended_by IS NOT NULL;

-- Finds what has expired.
CREATE INDEX refresh_token_expires_at ON refresh_token (expires_at) WHERE expires_at IS NOT NULL;
