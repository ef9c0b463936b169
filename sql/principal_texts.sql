-- The id, e-mail and names that zxcvbn knows when it scores that person's new password; no row for an unknown person.
SELECT id, email, first_names, last_name
FROM principal
WHERE id = %(id)s
  AND principal_type IN ('password', 'wayf')
