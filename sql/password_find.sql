-- All that changePassword reads: the bearer's current hash (NULL without a password), the texts that a new password
-- must not repeat, and the limits on guessing the current password. No row when the bearer's grant has ended.
SELECT
    ARRAY[bearer.id, bearer.email, bearer.first_names, bearer.last_name] AS own_texts,
    bearer.password_hash,
    bearer.password_generation,
    limits.pair_key, limits.network_key, limits.username_key, limits.is_known_network, limits.retry_after_seconds
FROM live_principal(%(bearer_id)s, %(bearer_uid)s, %(bearer_grant_reference)s, %(bearer_issued_at)s) AS bearer
CROSS JOIN guess_limits(%(address)s, bearer.id, bearer.id) AS limits
