-- A new password. The row stays locked until the transaction has ended the person's refresh tokens too.
UPDATE principal
SET password_hash = %(password_hash)s,
    password_generation = password_generation + 1,
    reset_token_hash = NULL,
    reset_expires_at = NULL
WHERE id = %(id)s
  AND principal_type = 'password'
RETURNING id
