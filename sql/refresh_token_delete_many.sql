-- Ends all the given refresh tokens and ignores unknown ones. Locked in order, so that two calls with the same
-- tokens cannot deadlock.
WITH ended AS (
    SELECT token_hash
    FROM refresh_token
    WHERE token_hash = ANY (%(token_hashes)s)
    ORDER BY token_hash
    FOR UPDATE
)
DELETE FROM refresh_token AS token
USING ended
WHERE token.token_hash = ended.token_hash
