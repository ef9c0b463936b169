-- Deletes up to `batch` expired rows and reset tokens together, and skips locked ones. ORDER BY and ARRAY make a
-- generic plan use the indexes too. The commit does not wait for a standby: a later run repeats a deletion that is
-- lost.
WITH dead_token AS (
    -- A token waits until those made from it, which expire first, are deleted: ON DELETE CASCADE could deadlock.
    SELECT token_hash
    FROM refresh_token AS token
    WHERE expires_at <= now()
      AND NOT EXISTS (SELECT FROM refresh_token AS made WHERE made.made_from = token.token_hash)
    ORDER BY expires_at
    LIMIT %(batch)s
    FOR UPDATE SKIP LOCKED
), dead_claim AS (
    SELECT jti
    FROM jti_claim
    WHERE claimed_at <= now() - make_interval(hours => 24 * %(claim_days)s)
    ORDER BY claimed_at
    LIMIT %(batch)s - (SELECT count(*) FROM dead_token)
    FOR UPDATE SKIP LOCKED
), dead_limit AS (
    SELECT key
    FROM login_limit
    WHERE expires_at <= now()
    ORDER BY expires_at
    LIMIT %(batch)s - (SELECT count(*) FROM dead_token) - (SELECT count(*) FROM dead_claim)
    FOR UPDATE SKIP LOCKED
), dead_reset AS (
    SELECT id
    FROM principal
    WHERE reset_expires_at <= now()
    ORDER BY reset_expires_at
    LIMIT %(batch)s - (SELECT count(*) FROM dead_token) - (SELECT count(*) FROM dead_claim)
        - (SELECT count(*) FROM dead_limit)
    FOR NO KEY UPDATE SKIP LOCKED
), refresh_token_deleted AS (
    DELETE FROM refresh_token
    WHERE token_hash = ANY (ARRAY(SELECT token_hash FROM dead_token))
    RETURNING set_config('synchronous_commit', 'off', true)
), jti_claim_deleted AS (
    DELETE FROM jti_claim
    WHERE jti = ANY (ARRAY(SELECT jti FROM dead_claim))
    RETURNING set_config('synchronous_commit', 'off', true)
), login_limit_deleted AS (
    DELETE FROM login_limit
    WHERE key = ANY (ARRAY(SELECT key FROM dead_limit))
    RETURNING set_config('synchronous_commit', 'off', true)
), reset_token_deleted AS (
    UPDATE principal
    SET reset_token_hash = NULL,
        reset_expires_at = NULL
    WHERE id = ANY (ARRAY(SELECT id FROM dead_reset))
    RETURNING set_config('synchronous_commit', 'off', true)
)
SELECT
    (SELECT count(*) FROM refresh_token_deleted) AS refresh_token,
    (SELECT count(*) FROM jti_claim_deleted) AS jti_claim,
    (SELECT count(*) FROM login_limit_deleted) AS login_limit,
    (SELECT count(*) FROM reset_token_deleted) AS reset_token
