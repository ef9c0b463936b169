-- One page of the bearer's live delegations, newest first, and their full count. Past the last page there is one row, which
-- carries only the count. No row when the bearer's grant has ended.
WITH live AS (
    SELECT public_session_reference, extended_by, extended_by_chain, scopes, created_at, last_used_at, expires_at
    FROM refresh_token
    WHERE principal_id = %(bearer_id)s
      AND extended_by IS NOT NULL
      AND expires_at > now()
), page AS (
    SELECT *
    FROM live
    ORDER BY created_at DESC, public_session_reference
    LIMIT %(items_per_page)s
    OFFSET %(offset)s
)
SELECT
    (SELECT count(*) FROM live) AS items_in_total,
    page.public_session_reference::text AS id,
    page.extended_by,
    page.extended_by_chain,
    page.scopes,
    (extract(epoch FROM page.created_at) * 1000)::bigint AS created_at,
    (extract(epoch FROM page.last_used_at) * 1000)::bigint AS last_used_at,
    (extract(epoch FROM page.expires_at) * 1000)::bigint AS expires_at
FROM live_principal(%(bearer_id)s, %(bearer_uid)s, %(bearer_reference)s, %(bearer_issued_at)s) AS bearer
LEFT JOIN page ON true
ORDER BY page.created_at DESC, page.public_session_reference
