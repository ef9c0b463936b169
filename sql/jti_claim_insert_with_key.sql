-- Spends a one-time token as jti_claim_insert does. A retry with the same key, by the same principal, counts as first
-- again. ON CONFLICT DO UPDATE reads the latest version of the row, so parallel retries are decided one after another.
WITH bearer AS (
    SELECT id, uid
    FROM live_principal(%(bearer_id)s, %(bearer_uid)s, %(bearer_grant_reference)s, %(bearer_issued_at)s)
), claimed AS (
    INSERT INTO jti_claim (jti, idempotency_key_hash, claimed_by)
    SELECT %(jti)s, %(key_hash)s, bearer.uid
    FROM bearer
    ON CONFLICT (jti) DO UPDATE
    SET claimed_by = excluded.claimed_by
    WHERE jti_claim.idempotency_key_hash = excluded.idempotency_key_hash
      AND jti_claim.claimed_by = excluded.claimed_by
    RETURNING jti
)
SELECT EXISTS (SELECT FROM claimed) AS is_first
FROM bearer
