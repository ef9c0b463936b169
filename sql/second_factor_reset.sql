-- Removes a person's second factor, and ends all their sessions, for the command line. No row when there is no factor.
WITH person AS (
    UPDATE principal
    SET two_factor_authentication = false,
        password_generation = password_generation + 1
    WHERE id = %(id)s
      AND two_factor_authentication
    RETURNING id
), removed AS (
    DELETE FROM second_factor
    USING person
    WHERE second_factor.principal_id = person.id
)
SELECT id, end_other_sessions(id, NULL) AS revoked
FROM person
