-- The person whose token is to be extended, with the scopes the asking service may ask for (none when it is gone
-- or disabled); no row when the person is gone or disabled.
SELECT
    person.id, person.uid, person.role, person.principal_type,
    person.first_names, person.last_name, person.email, person.org_id,
    person.two_factor_authentication, person.service_license_agreement,
    ARRAY(
        SELECT policy.scope
        FROM service_scope AS policy
        JOIN principal AS service ON service.id = policy.service_id
        WHERE policy.service_id = %(service_id)s
          AND service.disabled_at IS NULL
    ) AS policy
FROM principal AS person
WHERE person.id = %(principal_id)s
  AND person.disabled_at IS NULL
