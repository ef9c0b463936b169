-- Notes that the bearer accepts these terms. `is_latest`: they are the latest ones; otherwise nothing is noted. No row
-- when the bearer's grant has ended.
WITH bearer AS (
    SELECT live.id, coalesce((SELECT max(version) FROM sla), 0) = %(version)s AS is_latest
    FROM live_principal(%(bearer_id)s, %(bearer_uid)s, %(bearer_grant_reference)s, %(bearer_issued_at)s) AS live
), accepted AS (
    UPDATE principal
    SET accepted_sla_version = %(version)s
    FROM bearer
    WHERE principal.id = bearer.id
      AND bearer.is_latest
      AND principal.accepted_sla_version < %(version)s
)
SELECT is_latest
FROM bearer
