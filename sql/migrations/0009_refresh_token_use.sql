-- made_from: the delegation from whose access token this one was made. last_used_at: the last refresh. A session with an
-- idle timeout expires at expires_at, which each use moves, and at the latest at ends_at, which is fixed (NULL: no end).
ALTER TABLE refresh_token
    ADD COLUMN made_from bytea,
    ADD COLUMN last_used_at timestamptz,
    ADD COLUMN idle_timeout_seconds bigint,
    ADD COLUMN ends_at timestamptz;
