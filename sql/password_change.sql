-- Replaces the bearer's password, if it is still the one that was verified. No row otherwise, or when the bearer's
-- grant has ended. The row stays locked until the transaction has ended the person's other tokens too.
UPDATE principal
SET password_hash = %(password_hash)s,
    password_generation = principal.password_generation + 1,
    reset_token_hash = NULL,
    reset_expires_at = NULL
FROM live_principal(%(bearer_id)s, %(bearer_uid)s, %(bearer_reference)s, %(bearer_issued_at)s) AS live
WHERE principal.id = live.id
  AND principal.password_generation = %(password_generation)s
  AND principal.disabled_at IS NULL
RETURNING principal.id
