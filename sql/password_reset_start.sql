-- Stores a new reset token, which replaces the person's previous one. No row for a person who cannot log in by
-- password.
UPDATE principal
SET reset_token_hash = %(reset_token_hash)s,
    reset_expires_at = now() + make_interval(mins => %(valid_minutes)s)
WHERE id = %(id)s
  AND principal_type = 'password'
  AND disabled_at IS NULL
RETURNING id
