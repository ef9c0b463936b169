-- The limits on a guess of a person's password: their keys, whether the client's network is known (a network from which
-- the person has a live session), and for how many seconds a limit still blocks the guess (NULL: no limit blocks it).
-- The username's limit does not hold for a known network.
CREATE FUNCTION guess_limits(address inet, username text, person_id text)
RETURNS TABLE (
    pair_key bytea, network_key bytea, username_key bytea, is_known_network boolean, retry_after_seconds integer
) LANGUAGE sql STABLE AS $$
    SELECT
        limits.pair_key,
        limits.network_key,
        limits.username_key,
        live.is_known_network,
        seconds_blocked(ARRAY[
            limits.pair_key, limits.network_key, CASE WHEN NOT live.is_known_network THEN limits.username_key END
        ])
    FROM limit_keys($1, $2) AS limits
    CROSS JOIN LATERAL (
        SELECT EXISTS (
            SELECT
            FROM refresh_token
            WHERE principal_id = $3
              AND extended_by IS NULL
              AND (expires_at IS NULL OR expires_at > now())
              -- With these bounds the index finds the addresses of the network; with `<<=` it would not be used.
              AND ip_address BETWEEN host(limits.network)::inet AND host(broadcast(limits.network))::inet
        )
    ) AS live (is_known_network)
$$;
