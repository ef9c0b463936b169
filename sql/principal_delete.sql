-- Removes a principal of one kind; its refresh tokens and those it extended go with it (foreign keys).
DELETE FROM principal
WHERE id = %(id)s
  AND principal_type = ANY (%(principal_types)s)
RETURNING id
