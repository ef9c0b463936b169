-- Ends all the given refresh tokens, ignores unknown ones, and says how many it ended. Their principals are locked
-- first, in the order of their ids, against deadlocks. No row, and nothing ended, when the bearer's grant has ended.
WITH bearer AS (
    SELECT id
    FROM live_principal(%(bearer_id)s, %(bearer_uid)s, %(bearer_grant_reference)s, %(bearer_issued_at)s)
), owner AS MATERIALIZED (
    SELECT principal.id
    FROM principal
    WHERE principal.id IN (SELECT principal_id FROM refresh_token WHERE token_hash = ANY (%(token_hashes)s))
      AND EXISTS (SELECT FROM bearer)
    ORDER BY principal.id
    FOR NO KEY UPDATE
), ended AS (
    DELETE FROM refresh_token AS token
    USING owner
    WHERE token.token_hash = ANY (%(token_hashes)s)
      AND token.principal_id = owner.id
    RETURNING token.token_hash
)
SELECT (SELECT count(*) FROM ended) AS revoked
FROM bearer
