-- One page of a person's live sessions, newest first, and their full count. There is always at least one row:
-- past the last page it carries only the count.
WITH live AS (
    SELECT public_session_reference, ip_address, user_agent, created_at
    FROM refresh_token
    WHERE principal_id = %(principal_id)s
      AND extended_by IS NULL
      AND (expires_at IS NULL OR expires_at > now())
), page AS (
    SELECT *
    FROM live
    ORDER BY created_at DESC, public_session_reference
    LIMIT %(items_per_page)s
    OFFSET %(offset)s
)
SELECT
    total.items_in_total,
    page.public_session_reference,
    host(page.ip_address) AS ip_address,
    page.user_agent,
    (extract(epoch FROM page.created_at) * 1000)::bigint AS created_at_ms
FROM (SELECT count(*) AS items_in_total FROM live) AS total
LEFT JOIN page ON true
ORDER BY page.created_at DESC, page.public_session_reference
