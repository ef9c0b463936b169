-- When a refresh token last refreshed. A session with an idle timeout has its next expiry in expires_at, which each use
-- moves, and in ends_at the end that no use moves (NULL: none).
ALTER TABLE refresh_token
    ADD COLUMN last_used_at timestamptz,
    ADD COLUMN idle_timeout_seconds bigint,
    ADD COLUMN ends_at timestamptz;

-- Lists a person's delegations, newest first.
CREATE INDEX refresh_token_delegation ON refresh_token
    (principal_id, created_at DESC, public_session_reference) WHERE extended_by IS NOT NULL;
