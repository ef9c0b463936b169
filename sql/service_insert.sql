-- A new service and its policy; no row when the id is taken.
WITH service AS (
    INSERT INTO principal (id, role, principal_type)
    VALUES (%(id)s, 'SERVICE', 'service')
    ON CONFLICT (id) DO NOTHING
    RETURNING id
), policy AS (
    INSERT INTO service_scope (service_id, scope)
    SELECT service.id, asked.scope
    FROM service
    CROSS JOIN unnest(%(scopes)s::text[]) AS asked (scope)
)
SELECT id
FROM service
