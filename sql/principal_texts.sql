-- The id, e-mail and names that a person's new password must not contain; no row for an unknown person.
SELECT id, email, first_names, last_name
FROM principal
WHERE id = %(id)s
  AND principal_type = 'password'
