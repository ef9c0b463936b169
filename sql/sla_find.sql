-- The latest terms of use; version 0 and no text where none are published. No row when the bearer's grant has ended.
SELECT coalesce(latest.version, 0) AS version, coalesce(latest.text, '') AS text
FROM live_principal(%(bearer_id)s, %(bearer_uid)s, %(bearer_grant_reference)s, %(bearer_issued_at)s) AS bearer
LEFT JOIN LATERAL (
    SELECT version, text
    FROM sla
    ORDER BY version DESC
    LIMIT 1
) AS latest ON true
