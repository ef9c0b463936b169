-- The id, e-mail and names of the person of a live reset token, for the rules of passwords.
SELECT id, email, first_names, last_name
FROM principal
WHERE reset_token_hash = %(reset_token_hash)s
  AND reset_expires_at > now()
  AND disabled_at IS NULL
