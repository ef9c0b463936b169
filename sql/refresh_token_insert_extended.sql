-- A delegation: a user's refresh token held by the service that extended it. No row when either is gone or
-- disabled; the locks make it wait for such a change that is under way, and such a change for it.
WITH person AS (
    SELECT id
    FROM principal
    WHERE id = %(principal_id)s
      AND disabled_at IS NULL
    FOR SHARE
), service AS (
    SELECT id
    FROM principal
    WHERE id = %(extended_by)s
      AND disabled_at IS NULL
    FOR SHARE
)
INSERT INTO refresh_token (
    token_hash, principal_id, scopes, access_token_lifetime_ms, extended_by, extended_by_chain, expires_at
)
SELECT
    %(token_hash)s, person.id, %(scopes)s, %(access_token_lifetime_ms)s, service.id, %(extended_by_chain)s,
    now() + make_interval(days => %(ttl_days)s)
FROM person, service
RETURNING public_session_reference
