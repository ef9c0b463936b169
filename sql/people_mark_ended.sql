-- Ends the reset tokens of all people, and their extensions without a refresh token that were issued until now. Locks
-- the people in the order of their ids, as extension_insert does.
WITH people AS (
    SELECT id
    FROM principal
    WHERE principal_type IN ('password', 'wayf')
    ORDER BY id
    FOR NO KEY UPDATE
)
UPDATE principal
SET tokens_ended_at = clock_timestamp(),
    reset_token_hash = NULL,
    reset_expires_at = NULL
FROM people
WHERE principal.id = people.id
