-- Replaces an old kind of hash of a password that was just verified. The challenge of a second factor follows, and a
-- session later: session_insert replaces the hash where there is no factor.
UPDATE principal
SET password_hash = %(new_hash)s
WHERE id = %(id)s
  AND uid = %(uid)s
  AND password_generation = %(password_generation)s
