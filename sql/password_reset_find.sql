-- The person of a live reset token: the id, and `own_texts` (id, e-mail and names), which a new password must not
-- repeat.
SELECT id, ARRAY[id, email, first_names, last_name] AS own_texts
FROM principal
WHERE reset_token_hash = %(reset_token_hash)s
  AND reset_expires_at > now()
  AND disabled_at IS NULL
