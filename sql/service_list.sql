-- All services, with the scopes each may ask for when it extends a user's token.
SELECT
    service.id,
    ARRAY(
        SELECT policy.scope
        FROM service_scope AS policy
        WHERE policy.service_id = service.id
        ORDER BY policy.scope
    ) AS scopes
FROM principal AS service
WHERE service.principal_type = 'service'
ORDER BY service.id
