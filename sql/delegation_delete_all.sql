-- Ends all of the bearer's delegations, and returns how many. The new `tokens_ended_at` ends the bearer's extensions
-- without a refresh token. No row when the bearer's grant has ended.
WITH bearer AS (
    UPDATE principal
    SET tokens_ended_at = clock_timestamp()
    FROM live_principal(%(bearer_id)s, %(bearer_uid)s, %(bearer_grant_reference)s, %(bearer_issued_at)s) AS live
    WHERE principal.id = live.id
    RETURNING principal.id
)
SELECT end_delegations(id) AS revoked
FROM bearer
