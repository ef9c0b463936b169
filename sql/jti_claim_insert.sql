-- Spends a one-time token. `is_first` is true for exactly one caller, on any number of servers. No row, and nothing
-- spent, when the bearer's grant has ended.
WITH bearer AS (
    SELECT id
    FROM live_principal(%(bearer_id)s, %(bearer_uid)s, %(bearer_grant_reference)s, %(bearer_issued_at)s)
), claimed AS (
    INSERT INTO jti_claim (jti)
    SELECT %(jti)s
    FROM bearer
    ON CONFLICT (jti) DO NOTHING
    RETURNING jti
)
SELECT EXISTS (SELECT FROM claimed) AS is_first
FROM bearer
