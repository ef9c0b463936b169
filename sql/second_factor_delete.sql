-- Removes the bearer's second factor by a code of that step, or by the recovery code, and ends all other sessions of
-- that person. Returns how many. No row if the step was spent, the recovery code is wrong, the bearer's grant has
-- ended, or another change of the password or the factor came first. The person is locked first.
WITH person AS (
    SELECT principal.id
    FROM live_principal(%(bearer_id)s, %(bearer_uid)s, %(bearer_grant_reference)s, %(bearer_issued_at)s) AS live
    JOIN principal ON principal.id = live.id
    WHERE principal.password_generation = %(password_generation)s
      AND principal.disabled_at IS NULL
    FOR NO KEY UPDATE OF principal
), removed AS (
    DELETE FROM second_factor
    USING person
    WHERE second_factor.principal_id = person.id
      AND (second_factor.last_step < %(step)s OR second_factor.recovery_hash = %(recovery_hash)s)
    RETURNING second_factor.principal_id
), changed AS (
    UPDATE principal
    SET two_factor_authentication = false,
        password_generation = principal.password_generation + 1
    FROM removed
    WHERE principal.id = removed.principal_id
    RETURNING principal.id
)
SELECT id, end_other_sessions(id, %(bearer_grant_reference)s) AS revoked
FROM changed
