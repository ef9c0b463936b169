-- Ends a service's own refresh tokens. Its delegations live on, since they are rows of people. The tokens are locked in
-- the order of their hashes, against deadlocks.
WITH ended AS (
    SELECT token_hash
    FROM refresh_token
    WHERE principal_id = %(service_id)s
    ORDER BY token_hash
    FOR UPDATE
)
DELETE FROM refresh_token AS token
USING ended
WHERE token.token_hash = ended.token_hash
