-- All live sessions of a person, newest first, for the command line.
SELECT
    public_session_reference,
    host(ip_address) AS ip_address,
    user_agent,
    (extract(epoch FROM created_at) * 1000)::bigint AS created_at_ms,
    (extract(epoch FROM coalesce(last_used_at, created_at)) * 1000)::bigint AS last_used_at_ms
FROM refresh_token
WHERE principal_id = %(id)s
  AND extended_by IS NULL
  AND (expires_at IS NULL OR expires_at > now())
ORDER BY created_at DESC, public_session_reference
