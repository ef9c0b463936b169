-- Replaces an old kind of hash of a password that was just verified, when the login then asks for the second factor.
-- For a person without a factor session_insert replaces the hash.
UPDATE principal
SET password_hash = %(new_hash)s
WHERE id = %(id)s
  AND uid = %(uid)s
  AND password_generation = %(password_generation)s
