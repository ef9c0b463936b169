-- Replaces an old kind of hash of the same password, unless the password has changed meanwhile.
UPDATE principal
SET password_hash = %(new_hash)s
WHERE id = %(id)s
  AND password_hash = %(old_hash)s
