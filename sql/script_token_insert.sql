-- Stores a personal token. `is_full`: the person has `tokens` of them already, and nothing was stored. No row if the
-- session has ended. Locks the person first, so that parallel calls count each other's tokens, then the session, so
-- that a statement which ends the session's tokens runs before or after this one.
WITH person AS MATERIALIZED (
    SELECT id
    FROM principal
    WHERE id = %(bearer_id)s
      AND disabled_at IS NULL
    FOR NO KEY UPDATE
), session AS MATERIALIZED (
    SELECT person.id
    FROM person
    JOIN refresh_token AS token ON token.principal_id = person.id
    WHERE token.public_session_reference = %(bearer_grant_reference)s
      AND (token.expires_at IS NULL OR token.expires_at > now())
    FOR KEY SHARE OF token
), allowed AS MATERIALIZED (
    SELECT id, has_delegations(id, id, %(tokens)s) AS is_full
    FROM session
), stored AS (
    INSERT INTO refresh_token (
        token_hash, principal_id, scopes, access_token_lifetime_ms, extended_by, extended_by_chain, title, expires_at
    )
    SELECT
        %(token_hash)s, id, %(scopes)s, %(access_token_lifetime_ms)s, id, ARRAY[id], %(title)s,
        now() + make_interval(hours => 24 * %(days)s)
    FROM allowed
    WHERE NOT is_full
    RETURNING public_session_reference, expires_at
)
SELECT
    allowed.is_full,
    stored.public_session_reference,
    (extract(epoch FROM stored.expires_at) * 1000)::bigint AS expires_at
FROM allowed
LEFT JOIN stored ON true
