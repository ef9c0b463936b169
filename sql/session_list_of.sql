-- All live sessions of a person, newest first, for the command line.
SELECT
    public_session_reference::text AS id,
    coalesce(host(ip_address), 'Unknown location') AS ip_address,
    coalesce(user_agent, 'Unknown device') AS user_agent,
    (extract(epoch FROM created_at) * 1000)::bigint AS created_at,
    (extract(epoch FROM coalesce(last_used_at, created_at)) * 1000)::bigint AS last_used_at,
    false AS current
FROM refresh_token
WHERE principal_id = %(id)s
  AND extended_by IS NULL
  AND (expires_at IS NULL OR expires_at > now())
ORDER BY refresh_token.created_at DESC, public_session_reference
