-- All that changePassword reads: the bearer's present hash, and for how many seconds a limit still blocks guesses, as in
-- login_find. No row when the bearer's grant has ended.
SELECT
    bearer.id, bearer.password_hash, bearer.password_generation,
    known.is_known_network,
    (
        SELECT ceil(extract(epoch FROM max(blocked_until) - now()))::integer
        FROM login_limit
        WHERE key = ANY (ARRAY[%(pair_key)s, %(network_key)s, %(username_key)s]::bytea[])
          AND blocked_until > now()
          AND NOT (known.is_known_network AND key = %(username_key)s)
    ) AS retry_after_seconds
FROM live_principal(%(bearer_id)s, %(bearer_uid)s, %(bearer_reference)s, %(bearer_issued_at)s) AS bearer
CROSS JOIN LATERAL (
    SELECT EXISTS (
        SELECT
        FROM refresh_token
        WHERE principal_id = bearer.id
          AND extended_by IS NULL
          AND (expires_at IS NULL OR expires_at > now())
          -- By these bounds the index finds the addresses of the network, and by `<<=` it would not.
          AND ip_address BETWEEN %(network_address)s::inet AND host(broadcast(%(network_address)s::inet))::inet
    ) AS is_known_network
) AS known
