-- Disables a person. The row stays locked until the transaction has ended the person's refresh tokens too.
UPDATE principal
SET disabled_at = coalesce(disabled_at, now()),
    -- The challenges of logins under way become void, also for a person who is enabled again.
    password_generation = password_generation + 1,
    reset_token_hash = NULL,
    reset_expires_at = NULL
WHERE id = %(id)s
  AND principal_type IN ('password', 'wayf')
RETURNING id
