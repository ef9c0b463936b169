-- Ends one of the bearer's delegations, and by the foreign key those made from it. `was_there`: it existed. The
-- principal is locked first, see "Lock order" in docs/architecture.md. No row when the bearer's grant has ended.
WITH bearer AS (
    SELECT principal.id
    FROM live_principal(%(bearer_id)s, %(bearer_uid)s, %(bearer_grant_reference)s, %(bearer_issued_at)s) AS live
    JOIN principal ON principal.id = live.id
    FOR NO KEY UPDATE OF principal
), ended AS (
    DELETE FROM refresh_token AS delegation
    USING bearer
    WHERE delegation.public_session_reference = %(session_reference)s
      AND delegation.principal_id = bearer.id
      AND delegation.extended_by IS NOT NULL
      AND delegation.expires_at > now()
    RETURNING delegation.token_hash
)
SELECT EXISTS (SELECT FROM ended) AS was_there
FROM bearer
