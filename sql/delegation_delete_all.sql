-- Ends up to %(batch)s of the bearer's delegations, and returns how many. `tokens_ended_at` ends the extensions without a
-- refresh token that were issued until now. A delegation from which others were made is left for a later batch, since the
-- foreign key would end all of them at once. No row when the bearer's grant has ended.
WITH bearer AS (
    UPDATE principal
    SET tokens_ended_at = clock_timestamp()
    FROM live_principal(%(bearer_id)s, %(bearer_uid)s, %(bearer_reference)s, %(bearer_issued_at)s) AS live
    WHERE principal.id = live.id
    RETURNING principal.id
), delegation AS MATERIALIZED (
    SELECT delegation.token_hash
    FROM bearer
    JOIN refresh_token AS delegation ON delegation.principal_id = bearer.id
    WHERE delegation.extended_by IS NOT NULL
      AND NOT EXISTS (SELECT FROM refresh_token AS made WHERE made.made_from = delegation.token_hash)
    LIMIT %(batch)s
), ended AS (
    DELETE FROM refresh_token
    WHERE token_hash = ANY (ARRAY(SELECT token_hash FROM delegation))
    RETURNING token_hash
)
SELECT (SELECT count(*) FROM ended) AS revoked
FROM bearer
