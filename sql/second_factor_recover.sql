-- Removes a person's second factor by the recovery code, and ends all sessions of that person. Returns how many, and
-- the generation with which the login goes on. No row if the code is wrong, or the person was disabled, deleted or
-- given another password or factor meanwhile. The person is locked first.
WITH person AS (
    SELECT id
    FROM principal
    WHERE id = %(id)s
      AND uid = %(uid)s
      AND disabled_at IS NULL
      AND password_generation = %(password_generation)s
    FOR NO KEY UPDATE
), removed AS (
    DELETE FROM second_factor
    USING person
    WHERE second_factor.principal_id = person.id
      AND second_factor.recovery_hash = %(recovery_hash)s
    RETURNING second_factor.principal_id
), changed AS (
    UPDATE principal
    SET two_factor_authentication = false,
        password_generation = principal.password_generation + 1
    FROM removed
    WHERE principal.id = removed.principal_id
    RETURNING principal.id, principal.two_factor_authentication, principal.password_generation
)
SELECT two_factor_authentication, password_generation, end_other_sessions(id, NULL) AS revoked
FROM changed
