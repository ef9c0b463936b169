-- Locks a person's row: no token of theirs is stored until the transaction ends.
SELECT id
FROM principal
WHERE id = %(id)s
  AND principal_type IN ('password', 'wayf')
FOR NO KEY UPDATE
