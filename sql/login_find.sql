-- All that a login reads: the service (no row for an unknown one), the person (NULL columns for an unknown username;
-- the hash of a disabled person is NULL too), the keys of the login's limits, and for how many seconds a limit still
-- blocks the login (NULL: it is not blocked). The username's limit does not hold for a network from which that person
-- has a live session.
SELECT
    service.name, service.endpoint, service.mode, service.refresh_token_ttl_seconds, service.idle_timeout_seconds,
    person.id, person.uid, person.role, person.principal_type,
    person.first_names, person.last_name, person.email, person.org_id,
    person.two_factor_authentication,
    person.password_hash IS NOT NULL AS has_password,
    (person.accepted_sla_version = (SELECT max(version) FROM sla)) IS NOT FALSE AS has_accepted_sla,
    person.password_generation,
    CASE WHEN person.disabled_at IS NULL THEN person.password_hash END AS password_hash,
    live.is_known_network,
    limits.pair_key,
    limits.network_key,
    limits.username_key,
    seconds_blocked(
        ARRAY[pair_key, network_key, CASE WHEN NOT is_known_network THEN username_key END]
    ) AS retry_after_seconds
FROM login_service AS service
LEFT JOIN principal AS person ON person.id = %(username)s
CROSS JOIN limit_keys(%(address)s, %(username)s) AS limits
CROSS JOIN LATERAL (
    SELECT EXISTS (
        SELECT
        FROM refresh_token
        WHERE principal_id = person.id
          AND extended_by IS NULL
          AND (expires_at IS NULL OR expires_at > now())
          -- With these bounds the index finds the addresses of the network; with `<<=` it would not be used.
          AND ip_address BETWEEN host(limits.network)::inet AND host(broadcast(limits.network))::inet
    ) AS is_known_network
) AS live
WHERE service.name = %(service)s
