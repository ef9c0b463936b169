-- Ends a principal's stored tokens except `kept_reference`, and the extensions without a refresh token that were issued
-- until now. Run in the transaction that has changed the principal's row, and so locked it: no token is stored meanwhile.
WITH marked AS (
    UPDATE principal
    SET tokens_ended_at = clock_timestamp()
    WHERE id = %(id)s
)
DELETE FROM refresh_token
WHERE principal_id = %(id)s
  AND public_session_reference IS DISTINCT FROM %(kept_reference)s
