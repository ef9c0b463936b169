-- Lets a service's own refresh tokens expire after `minutes`, or at their own time if that is earlier. Its delegations
-- live on, since they are rows of people. The tokens are locked in the order of their hashes, against deadlocks.
WITH previous AS (
    SELECT token_hash
    FROM refresh_token
    WHERE principal_id = %(service_id)s
    ORDER BY token_hash
    FOR NO KEY UPDATE
)
UPDATE refresh_token AS token
SET expires_at = least(token.expires_at, now() + make_interval(mins => %(minutes)s))
FROM previous
WHERE token.token_hash = previous.token_hash
