-- A session for somebody whose password was just verified, which also takes the login's count back; no row, and it
-- stays counted, when the person was disabled, deleted or given a new password since. FOR SHARE makes it wait for such
-- a change that is under way, and such a change for it. Tells whether anything has expired, so that a login need not
-- look for it in vain.
WITH person AS (
    SELECT id
    FROM principal
    WHERE id = %(principal_id)s
      AND disabled_at IS NULL
      AND password_generation = %(password_generation)s
    FOR SHARE
), session AS (
    INSERT INTO refresh_token (
        token_hash, principal_id, scopes, access_token_lifetime_ms, expires_at, ip_address, user_agent
    )
    SELECT
        %(token_hash)s, person.id, %(scopes)s, %(access_token_lifetime_ms)s,
        now() + make_interval(secs => %(ttl_seconds)s::double precision), %(ip_address)s::inet, %(user_agent)s
    FROM person
    RETURNING public_session_reference
), locked AS MATERIALIZED (
    SELECT key, failures, array_position(failures, %(attempted_at)s::timestamptz) AS place
    FROM login_limit
    WHERE key = ANY (%(keys)s::bytea[])
      AND EXISTS (SELECT FROM session)
    ORDER BY key
    FOR UPDATE
), taken_back AS (
    UPDATE login_limit
    SET failures = locked.failures[:place - 1] || locked.failures[place + 1:]
    FROM locked
    WHERE login_limit.key = locked.key
      AND place IS NOT NULL
)
SELECT
    public_session_reference,
    coalesce((SELECT min(expires_at) FROM refresh_token) <= now(), false)
        OR coalesce((SELECT min(claimed_at) FROM jti_claim) <= now() - make_interval(days => %(claim_days)s), false)
        OR coalesce((SELECT min(expires_at) FROM login_limit) <= now(), false) AS something_expired
FROM session
