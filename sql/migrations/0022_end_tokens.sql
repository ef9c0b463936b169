-- Ends a principal's stored tokens except `kept_reference` (NULL: all of them), and returns how many. Called by
-- statements that have changed the principal's row, and so locked it: being VOLATILE, it sees the tokens that were
-- stored before that lock.
CREATE FUNCTION end_tokens(principal_id text, kept_reference uuid) RETURNS bigint LANGUAGE sql VOLATILE AS $$
    WITH ended AS (
        DELETE FROM refresh_token
        WHERE refresh_token.principal_id = $1
          AND public_session_reference IS DISTINCT FROM $2
        RETURNING token_hash
    )
    SELECT count(*) FROM ended
$$;
