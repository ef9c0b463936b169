-- Ends one of a person's own sessions; no row for an id that is not one, whoever's it is.
DELETE FROM refresh_token
WHERE public_session_reference = %(session_id)s
  AND principal_id = %(principal_id)s
  AND extended_by IS NULL
  AND (expires_at IS NULL OR expires_at > now())
RETURNING public_session_reference
