-- One page of the bearer's live sessions, newest first, as an array of JSON objects (empty past the last page), and
-- their full count. No row when the bearer's grant has ended.
WITH live AS (
    SELECT public_session_reference, ip_address, user_agent, created_at, last_used_at
    FROM refresh_token
    WHERE principal_id = %(bearer_id)s
      AND extended_by IS NULL
      AND (expires_at IS NULL OR expires_at > now())
)
SELECT
    (SELECT count(*) FROM live) AS items_in_total,
    ARRAY(
        SELECT json_build_object(
            'id', public_session_reference,
            'ip_address', coalesce(host(ip_address), 'Unknown location'),
            'user_agent', coalesce(user_agent, 'Unknown device'),
            'created_at', (extract(epoch FROM created_at) * 1000)::bigint,
            'last_used_at', (extract(epoch FROM coalesce(last_used_at, created_at)) * 1000)::bigint,
            'current', public_session_reference IS NOT DISTINCT FROM %(bearer_grant_reference)s
        )
        FROM live
        ORDER BY created_at DESC, public_session_reference
        LIMIT %(items_per_page)s
        OFFSET %(offset)s
    ) AS items
FROM live_principal(%(bearer_id)s, %(bearer_uid)s, %(bearer_grant_reference)s, %(bearer_issued_at)s) AS bearer
