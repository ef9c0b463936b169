-- Takes the count of a code back that could not be checked, since no key opened the secret.
UPDATE second_factor
SET failures = greatest(failures - 1, 0)
WHERE principal_id = %(id)s
  AND secret = %(secret)s
