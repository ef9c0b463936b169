-- What changePassword and the calls of the second factor read: the bearer's current hash (NULL without a password), the
-- texts that a new password must not repeat, whether there is a factor, the age of the bearer's session (NULL: unknown),
-- and for how many seconds a limit still blocks guesses, as in login_find. No row when the bearer's grant has ended.
SELECT
    ARRAY[bearer.id, bearer.email, bearer.first_names, bearer.last_name] AS own_texts,
    bearer.password_hash,
    bearer.id,
    bearer.uid,
    bearer.two_factor_authentication,
    (
        SELECT extract(epoch FROM now() - created_at)::double precision
        FROM refresh_token
        WHERE public_session_reference = %(bearer_reference)s
    ) AS session_seconds,
    bearer.password_generation,
    known.is_known_network,
    limits.pair_key,
    limits.network_key,
    limits.username_key,
    seconds_blocked(
        ARRAY[pair_key, network_key, CASE WHEN NOT is_known_network THEN username_key END]
    ) AS retry_after_seconds
FROM live_principal(%(bearer_id)s, %(bearer_uid)s, %(bearer_reference)s, %(bearer_issued_at)s) AS bearer
CROSS JOIN limit_keys(%(address)s, bearer.id) AS limits
CROSS JOIN LATERAL (
    SELECT EXISTS (
        SELECT
        FROM refresh_token
        WHERE principal_id = bearer.id
          AND extended_by IS NULL
          AND (expires_at IS NULL OR expires_at > now())
          -- With these bounds the index finds the addresses of the network; with `<<=` it would not be used.
          AND ip_address BETWEEN host(limits.network)::inet AND host(broadcast(limits.network))::inet
    ) AS is_known_network
) AS known
