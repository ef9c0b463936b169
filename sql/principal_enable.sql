-- Lets a disabled person in again.
UPDATE principal
SET disabled_at = NULL
WHERE id = %(id)s
  AND principal_type IN ('password', 'wayf')
RETURNING id
