-- Replaces the bearer's password, if it is still the one that was verified, and ends all other tokens of that person.
-- Returns how many of these were stored. The count of failed codes begins again. No row if another change came first,
-- or the bearer's grant has ended.
WITH changed AS (
    UPDATE principal
    SET password_hash = %(password_hash)s,
        password_generation = principal.password_generation + 1,
        reset_token_hash = NULL,
        reset_expires_at = NULL,
        tokens_ended_at = clock_timestamp()
    FROM live_principal(%(bearer_id)s, %(bearer_uid)s, %(bearer_grant_reference)s, %(bearer_issued_at)s) AS live
    WHERE principal.id = live.id
      AND principal.password_generation = %(password_generation)s
      AND principal.disabled_at IS NULL
    RETURNING principal.id
), unblocked AS (
    UPDATE second_factor
    SET failures = 0
    FROM changed
    WHERE second_factor.principal_id = changed.id
)
SELECT id, end_tokens(id, %(bearer_grant_reference)s) AS revoked
FROM changed
