-- Adds the bearer's second factor, and ends all other sessions of that person. Returns how many. No row if the bearer's
-- grant has ended, or another change of the password or the factor came first. Because of the new generation,
-- session_insert then refuses logins that have verified only the password.
WITH person AS (
    UPDATE principal
    SET two_factor_authentication = true,
        password_generation = principal.password_generation + 1
    FROM live_principal(%(bearer_id)s, %(bearer_uid)s, %(bearer_grant_reference)s, %(bearer_issued_at)s) AS live
    WHERE principal.id = live.id
      AND principal.password_generation = %(password_generation)s
      AND NOT principal.two_factor_authentication
      AND principal.disabled_at IS NULL
    RETURNING principal.id
), factor AS (
    INSERT INTO second_factor (principal_id, secret, recovery_hash, last_step)
    SELECT id, %(secret)s, %(recovery_hash)s, %(step)s
    FROM person
)
SELECT id, end_other_sessions(id, %(bearer_grant_reference)s) AS revoked
FROM person
