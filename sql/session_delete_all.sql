-- Ends all of the bearer's live sessions, and returns how many. Delegations live on. No row when the bearer's grant has
-- ended.
WITH bearer AS (
    SELECT principal.id
    FROM live_principal(%(bearer_id)s, %(bearer_uid)s, %(bearer_grant_reference)s, %(bearer_issued_at)s) AS live
    JOIN principal ON principal.id = live.id
    FOR NO KEY UPDATE OF principal
)
SELECT end_sessions(id, 0, NULL) AS revoked
FROM bearer
