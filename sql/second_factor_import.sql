-- Adds a second factor to a person who was just imported.
WITH person AS (
    UPDATE principal
    SET two_factor_authentication = true
    WHERE id = %(id)s
    RETURNING id
)
INSERT INTO second_factor (principal_id, secret, last_step)
SELECT id, %(secret)s, 0
FROM person
