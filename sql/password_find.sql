-- What changePassword and the calls of the second factor read: the bearer's current hash (NULL without a password), the
-- texts that a new password must not repeat, whether there is a factor, the age of the bearer's session (NULL:
-- unknown), and the limits on guessing. No row when the bearer's grant has ended.
SELECT
    ARRAY[bearer.id, bearer.email, bearer.first_names, bearer.last_name] AS own_texts,
    bearer.password_hash,
    bearer.id,
    bearer.uid,
    bearer.two_factor_authentication,
    (
        SELECT extract(epoch FROM now() - created_at)::double precision
        FROM refresh_token
        WHERE public_session_reference = %(bearer_grant_reference)s
    ) AS session_seconds,
    bearer.password_generation,
    limits.pair_key, limits.network_key, limits.username_key, limits.is_known_network, limits.retry_after_seconds
FROM live_principal(%(bearer_id)s, %(bearer_uid)s, %(bearer_grant_reference)s, %(bearer_issued_at)s) AS bearer
CROSS JOIN guess_limits(%(address)s, bearer.id, bearer.id) AS limits
