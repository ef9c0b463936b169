-- Ends every token of a principal: the stored ones, extended ones too, and by the time of now those that are not stored.
-- Run in the transaction that has changed the principal's row, and so locked it: no token is being made meanwhile.
WITH marked AS (
    UPDATE principal
    SET tokens_ended_at = clock_timestamp()
    WHERE id = %(id)s
)
DELETE FROM refresh_token
WHERE principal_id = %(id)s
