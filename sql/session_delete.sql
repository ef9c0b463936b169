-- Ends one of the bearer's own sessions. `was_there`: it existed. No row when the bearer's grant has ended.
WITH bearer AS (
    SELECT id
    FROM live_principal(%(bearer_id)s, %(bearer_uid)s, %(bearer_grant_reference)s, %(bearer_issued_at)s)
), ended AS (
    DELETE FROM refresh_token AS session
    USING bearer
    WHERE session.public_session_reference = %(session_reference)s
      AND session.principal_id = bearer.id
      AND session.extended_by IS NULL
      AND (session.expires_at IS NULL OR session.expires_at > now())
    RETURNING session.token_hash
)
SELECT EXISTS (SELECT FROM ended) AS was_there
FROM bearer
