-- The texts of a person who logs in by password that a new password must not be made of; no row when there is none.
SELECT id, email, first_names, last_name
FROM principal
WHERE id = %(id)s
  AND principal_type = 'password'
