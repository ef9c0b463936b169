-- Spends a reset token, sets the new password, and ends all tokens of the person. Returns how many were stored. The
-- count of failed codes begins again. No row when the token is unknown, expired or spent, or the person is disabled.
WITH changed AS (
    UPDATE principal
    SET password_hash = %(password_hash)s,
        password_generation = password_generation + 1,
        reset_token_hash = NULL,
        reset_expires_at = NULL,
        tokens_ended_at = clock_timestamp()
    WHERE reset_token_hash = %(reset_token_hash)s
      AND reset_expires_at > now()
      AND disabled_at IS NULL
    RETURNING id
), unblocked AS (
    UPDATE second_factor
    SET failures = 0
    FROM changed
    WHERE second_factor.principal_id = changed.id
)
SELECT id, end_tokens(id, NULL) AS revoked
FROM changed
