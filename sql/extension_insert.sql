-- Stores a delegation. If `is_full`, the service can get no more delegations of that person: nothing was stored. No
-- row when the grant of the person's or the service's token has ended, or no time is left. Locks the principals in the
-- order of their ids, then the tokens, so that this statement and one that ends a grant run one after the other.
WITH turn AS MATERIALIZED (
    -- Extensions of one person by one service run one after another, so that each counts those before it.
    SELECT pg_advisory_xact_lock(hashtextextended(concat_ws(' ', %(bearer_id)s::text, %(user_id)s::text), 0))
), locked AS MATERIALIZED (
    SELECT principal.id, principal.uid, principal.disabled_at, principal.tokens_ended_at
    FROM turn
    CROSS JOIN principal
    WHERE principal.id = ANY (ARRAY[%(user_id)s, %(bearer_id)s])
    ORDER BY principal.id
    FOR SHARE OF principal
), token AS MATERIALIZED (
    SELECT
        token.principal_id, token.public_session_reference, token.token_hash, token.expires_at,
        token.extended_by IS NOT NULL AS is_delegation
    FROM locked
    JOIN refresh_token AS token ON token.principal_id = locked.id
    WHERE token.public_session_reference = ANY (ARRAY[%(user_grant_reference)s, %(bearer_grant_reference)s]::uuid[])
      AND (token.expires_at IS NULL OR token.expires_at > now())
    FOR KEY SHARE OF token
), bearer (id, uid, grant_reference, issued_at) AS (
    VALUES
        (%(user_id)s::text, %(user_uid)s::bigint, %(user_grant_reference)s::uuid, %(user_issued_at)s::bigint),
        (%(bearer_id)s, %(bearer_uid)s, %(bearer_grant_reference)s, %(bearer_issued_at)s)
), live AS (
    SELECT locked.id, token.token_hash, token.expires_at, token.is_delegation
    FROM bearer
    JOIN locked ON locked.id = bearer.id
    LEFT JOIN token ON token.principal_id = bearer.id AND token.public_session_reference = bearer.grant_reference
    WHERE locked.disabled_at IS NULL
      AND locked.uid = coalesce(bearer.uid, locked.uid)
      AND CASE
          WHEN bearer.grant_reference IS NULL
              THEN to_timestamp(bearer.issued_at) > locked.tokens_ended_at
          ELSE token.token_hash IS NOT NULL
      END
), allowed AS MATERIALIZED (
    -- A session sets no end. A delegation sets its `expires_at`.
    SELECT
        person.id AS person_id,
        service.id AS service_id,
        CASE WHEN person.is_delegation THEN person.token_hash END AS made_from,
        least(
            to_timestamp(%(user_not_after)s),
            CASE WHEN person.is_delegation THEN person.expires_at END
        ) AS not_after,
        has_delegations(service.id, person.id, %(delegations)s) AS is_full
    FROM live AS person
    JOIN live AS service ON service.id = %(bearer_id)s
    WHERE person.id = %(user_id)s
), stored AS (
    INSERT INTO refresh_token (
        token_hash, public_session_reference, principal_id, scopes, access_token_lifetime_ms,
        extended_by, extended_by_chain, made_from, expires_at
    )
    SELECT
        %(token_hash)s, %(session_reference)s, person_id, %(scopes)s, %(access_token_lifetime_ms)s,
        service_id, %(extended_by_chain)s, made_from,
        least(now() + make_interval(hours => 24 * %(ttl_days)s), not_after)
    FROM allowed
    WHERE NOT is_full
      AND coalesce(not_after > now(), true)
)
SELECT is_full
FROM allowed
WHERE coalesce(not_after > now(), true)
