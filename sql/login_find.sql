-- A login's two sides at once: the service (no row when there is none), and the person, whose columns are NULL
-- for a name that nobody has. A disabled person's password hash reads as NULL, like one who has no password.
SELECT
    service.endpoint, service.mode, service.refresh_token_ttl_seconds,
    person.id, person.uid, person.role, person.principal_type,
    person.first_names, person.last_name, person.email, person.org_id,
    person.two_factor_authentication, person.service_license_agreement,
    person.password_generation,
    CASE WHEN person.disabled_at IS NULL THEN person.password_hash END AS password_hash
FROM login_service AS service
LEFT JOIN principal AS person ON person.id = %(username)s
WHERE service.name = %(service)s
