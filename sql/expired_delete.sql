-- Deletes up to %(batch)s rows that have expired, in all, passing over those that somebody else has locked.
WITH dead_token AS (
    SELECT token_hash
    FROM refresh_token
    WHERE expires_at <= now()
    LIMIT %(batch)s
    FOR UPDATE SKIP LOCKED
), dead_claim AS (
    SELECT jti
    FROM jti_claim
    WHERE claimed_at <= now() - make_interval(days => %(claim_days)s)
    LIMIT %(batch)s - (SELECT count(*) FROM dead_token)
    FOR UPDATE SKIP LOCKED
), dead_limit AS (
    SELECT key
    FROM login_limit
    WHERE expires_at <= now()
    LIMIT %(batch)s - (SELECT count(*) FROM dead_token) - (SELECT count(*) FROM dead_claim)
    FOR UPDATE SKIP LOCKED
), refresh_token_deleted AS (
    DELETE FROM refresh_token USING dead_token
    WHERE refresh_token.token_hash = dead_token.token_hash
    RETURNING 1
), jti_claim_deleted AS (
    DELETE FROM jti_claim USING dead_claim
    WHERE jti_claim.jti = dead_claim.jti
    RETURNING 1
), login_limit_deleted AS (
    DELETE FROM login_limit USING dead_limit
    WHERE login_limit.key = dead_limit.key
    RETURNING 1
)
SELECT
    (SELECT count(*) FROM refresh_token_deleted) AS refresh_token,
    (SELECT count(*) FROM jti_claim_deleted) AS jti_claim,
    (SELECT count(*) FROM login_limit_deleted) AS login_limit
