-- Stores a delegation. No row when its source has ended, or has no time left. Locks the principals in the order of their
-- ids, then the source, so that this statement and one that ends the source run one after the other.
WITH locked AS MATERIALIZED (
    SELECT id, uid, disabled_at, tokens_ended_at
    FROM principal
    WHERE id = ANY (ARRAY[%(user_id)s, %(bearer_id)s])
    ORDER BY id
    FOR SHARE
), source AS MATERIALIZED (
    SELECT token.token_hash, token.expires_at
    FROM locked
    JOIN refresh_token AS token ON token.principal_id = locked.id
    WHERE locked.id = %(user_id)s
      AND token.public_session_reference = %(user_reference)s
      AND (token.expires_at IS NULL OR token.expires_at > now())
    FOR KEY SHARE OF token
), allowed AS (
    -- A session sets no end. A delegation sets its `expires_at`.
    SELECT
        person.id AS person_id,
        service.id AS service_id,
        CASE WHEN %(user_is_extended)s THEN source.token_hash END AS made_from,
        least(to_timestamp(%(not_after)s), CASE WHEN %(user_is_extended)s THEN source.expires_at END) AS not_after
    FROM locked AS person
    JOIN locked AS service ON service.id = %(bearer_id)s
    LEFT JOIN source ON true
    WHERE person.id = %(user_id)s
      AND person.disabled_at IS NULL
      AND person.uid = coalesce(%(user_uid)s, person.uid)
      AND service.disabled_at IS NULL
      AND service.uid = coalesce(%(bearer_uid)s, service.uid)
      AND CASE
          WHEN %(user_reference)s::uuid IS NULL
              THEN to_timestamp(%(user_issued_at)s) > date_trunc('second', person.tokens_ended_at)
          ELSE source.token_hash IS NOT NULL
      END
)
INSERT INTO refresh_token (
    token_hash, public_session_reference, principal_id, scopes, access_token_lifetime_ms,
    extended_by, extended_by_chain, made_from, expires_at
)
SELECT
    %(token_hash)s, %(reference)s, person_id, %(scopes)s, %(access_token_lifetime_ms)s,
    service_id, %(extended_by_chain)s, made_from,
    least(now() + make_interval(hours => 24 * %(ttl_days)s), not_after)
FROM allowed
WHERE coalesce(not_after > now(), true)
RETURNING public_session_reference
