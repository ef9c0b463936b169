-- A new password. The row stays locked until the transaction has ended the person's refresh tokens too. The count of
-- failed codes begins again.
WITH changed AS (
    UPDATE principal
    SET password_hash = %(password_hash)s,
        password_generation = password_generation + 1,
        reset_token_hash = NULL,
        reset_expires_at = NULL
    WHERE id = %(id)s
      AND principal_type = 'password'
    RETURNING id
), unblocked AS (
    UPDATE second_factor
    SET failures = 0
    FROM changed
    WHERE second_factor.principal_id = changed.id
)
SELECT id
FROM changed
