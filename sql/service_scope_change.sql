-- Adds scopes to a service's policy, then removes others from it. Returns the service as it is now; no row when there is
-- none.
WITH service AS (
    SELECT id
    FROM principal
    WHERE id = %(id)s
      AND principal_type = 'service'
    FOR UPDATE
), added AS (
    INSERT INTO service_scope (service_id, scope)
    SELECT service.id, asked.scope
    FROM service
    CROSS JOIN unnest(%(added)s::text[]) AS asked (scope)
    WHERE asked.scope <> ALL (%(removed)s::text[])
    ON CONFLICT (service_id, scope) DO NOTHING
), removed AS (
    DELETE FROM service_scope
    USING service
    WHERE service_scope.service_id = service.id
      AND service_scope.scope = ANY (%(removed)s::text[])
), policy AS (
    SELECT scope
    FROM service_scope
    WHERE service_id = %(id)s
    UNION
    SELECT unnest(%(added)s::text[])
    EXCEPT
    SELECT unnest(%(removed)s::text[])
)
SELECT service.id, ARRAY(SELECT policy.scope FROM policy ORDER BY policy.scope) AS scopes
FROM service
