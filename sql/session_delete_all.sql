-- Ends up to %(batch)s of the bearer's sessions, and says how many. The bearer's own session is ended last, since the
-- next batch checks that it is live. Delegations live on. No row when the bearer's grant has ended.
WITH bearer AS (
    SELECT principal.id
    FROM live_principal(%(bearer_id)s, %(bearer_uid)s, %(bearer_reference)s, %(bearer_issued_at)s) AS live
    JOIN principal ON principal.id = live.id
    FOR NO KEY UPDATE OF principal
), other AS MATERIALIZED (
    SELECT session.token_hash
    FROM bearer
    JOIN refresh_token AS session ON session.principal_id = bearer.id
    WHERE session.extended_by IS NULL
      AND session.public_session_reference IS DISTINCT FROM %(bearer_reference)s
    LIMIT %(batch)s
), ended AS (
    DELETE FROM refresh_token
    WHERE token_hash = ANY (ARRAY(SELECT token_hash FROM other))
    RETURNING token_hash
), own AS (
    DELETE FROM refresh_token AS session
    USING bearer
    WHERE session.public_session_reference = %(bearer_reference)s
      AND session.principal_id = bearer.id
      AND session.extended_by IS NULL
      AND NOT EXISTS (SELECT FROM other)
    RETURNING session.token_hash
)
SELECT (SELECT count(*) FROM ended) + (SELECT count(*) FROM own) AS revoked
FROM bearer
