-- Spends a reset token and sets the new password. No row when the token is unknown, expired or spent, or the person is
-- disabled. The row stays locked until the transaction has ended the person's tokens too.
UPDATE principal
SET password_hash = %(password_hash)s,
    password_generation = password_generation + 1,
    reset_token_hash = NULL,
    reset_expires_at = NULL
WHERE reset_token_hash = %(reset_token_hash)s
  AND reset_expires_at > now()
  AND disabled_at IS NULL
RETURNING id
