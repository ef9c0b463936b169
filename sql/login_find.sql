-- All that a login reads: the service (no row for an unknown one), the person (NULL columns for an unknown username;
-- the hash of a disabled person is NULL too), and the limits on guessing the person's password.
SELECT
    service.name, service.endpoint, service.mode, service.refresh_token_ttl_seconds, service.idle_timeout_seconds,
    person.id, person.uid, person.role, person.principal_type,
    person.first_names, person.last_name, person.email, person.org_id,
    person.two_factor_authentication,
    person.password_hash IS NOT NULL AS has_password,
    (person.accepted_sla_version = (SELECT max(version) FROM sla)) IS NOT FALSE AS has_accepted_sla,
    person.password_generation,
    CASE WHEN person.disabled_at IS NULL THEN person.password_hash END AS password_hash,
    limits.pair_key, limits.network_key, limits.username_key, limits.is_known_network, limits.retry_after_seconds
FROM login_service AS service
LEFT JOIN principal AS person ON person.id = %(username)s
CROSS JOIN guess_limits(%(address)s, %(username)s, person.id) AS limits
WHERE service.name = %(service)s
