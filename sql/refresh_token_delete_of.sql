-- Ends every refresh token of a principal, extended ones too. Locked in order, against deadlocks.
WITH ended AS (
    SELECT token_hash
    FROM refresh_token
    WHERE principal_id = %(principal_id)s
    ORDER BY token_hash
    FOR UPDATE
)
DELETE FROM refresh_token AS token
USING ended
WHERE token.token_hash = ended.token_hash
