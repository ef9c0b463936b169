-- One page of the bearer's live delegations, newest first, as an array of JSON objects (empty past the last page), and
-- their full count. No row when the bearer's grant has ended.
WITH live AS (
    SELECT public_session_reference, extended_by, extended_by_chain, scopes, created_at, last_used_at, expires_at,
        title
    FROM refresh_token
    WHERE principal_id = %(bearer_id)s
      AND extended_by IS NOT NULL
      AND expires_at > now()
)
SELECT
    (SELECT count(*) FROM live) AS items_in_total,
    ARRAY(
        SELECT json_build_object(
            'id', public_session_reference,
            'extended_by', extended_by,
            'extended_by_chain', extended_by_chain,
            'scopes', scopes,
            'created_at', (extract(epoch FROM created_at) * 1000)::bigint,
            'last_used_at', (extract(epoch FROM last_used_at) * 1000)::bigint,
            'expires_at', (extract(epoch FROM expires_at) * 1000)::bigint,
            'title', title
        )
        FROM live
        ORDER BY created_at DESC, public_session_reference
        LIMIT %(items_per_page)s
        OFFSET %(offset)s
    ) AS items
FROM live_principal(%(bearer_id)s, %(bearer_uid)s, %(bearer_grant_reference)s, %(bearer_issued_at)s) AS bearer
