-- These functions are called by statements that have locked a principal. A statement sees the rows as they were when it
-- began, before it waited for the lock. A VOLATILE function sees them as they are when it is called.

-- Ends a person's live sessions except the `except_newest` newest: the oldest first, at most `at_most`
-- (NULL: all). Returns how many.
CREATE FUNCTION end_sessions(principal_id text, except_newest bigint, at_most bigint)
RETURNS bigint LANGUAGE sql VOLATILE AS $$
    WITH other AS (
        SELECT token_hash, created_at, public_session_reference
        FROM refresh_token
        WHERE refresh_token.principal_id = $1
          AND extended_by IS NULL
          AND (expires_at IS NULL OR expires_at > now())
        ORDER BY created_at DESC, public_session_reference
        OFFSET $2
    ), oldest AS (
        SELECT token_hash
        FROM other
        ORDER BY created_at, public_session_reference DESC
        LIMIT $3
    ), ended AS (
        DELETE FROM refresh_token
        WHERE token_hash = ANY (ARRAY(SELECT token_hash FROM oldest))
        RETURNING token_hash
    )
    SELECT count(*) FROM ended
$$;

-- Ends all delegations of a person, and returns how many.
CREATE FUNCTION end_delegations(principal_id text) RETURNS bigint LANGUAGE sql VOLATILE AS $$
    WITH ended AS (
        DELETE FROM refresh_token
        WHERE refresh_token.principal_id = $1
          AND extended_by IS NOT NULL
        RETURNING token_hash
    )
    SELECT count(*) FROM ended
$$;

-- Whether a service has at least `count` live delegations of a person.
CREATE FUNCTION has_delegations(service_id text, principal_id text, count bigint)
RETURNS boolean LANGUAGE sql VOLATILE AS $$
    SELECT EXISTS (
        SELECT
        FROM refresh_token
        WHERE extended_by = $1
          AND refresh_token.principal_id = $2
          AND expires_at > now()
        OFFSET $3 - 1
    )
$$;
