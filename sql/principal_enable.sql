-- Allows a disabled person to log in again.
UPDATE principal
SET disabled_at = NULL
WHERE id = %(id)s
  AND principal_type IN ('password', 'wayf')
RETURNING id
