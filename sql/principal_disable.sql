-- Disables a person. The row stays locked until the transaction has ended the person's refresh tokens too.
UPDATE principal
SET disabled_at = coalesce(disabled_at, now())
WHERE id = %(id)s
  AND principal_type IN ('password', 'wayf')
RETURNING id
