-- When a refresh token last refreshed, and the delegation from whose access token it was made. A session with an idle
-- timeout has its next expiry in expires_at, which each use moves, and in ends_at the end that no use moves (NULL: none).
ALTER TABLE refresh_token
    ADD COLUMN made_from bytea,
    ADD COLUMN last_used_at timestamptz,
    ADD COLUMN idle_timeout_seconds bigint,
    ADD COLUMN ends_at timestamptz;
