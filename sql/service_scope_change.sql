-- Adds scopes to a service's policy and removes scopes from it. A scope that is in both lists is removed. Returns the
-- service with its new scopes. Run in the transaction in which service_find has locked the service.
WITH added AS (
    INSERT INTO service_scope (service_id, scope)
    SELECT %(service_id)s, asked.scope
    FROM unnest(%(added)s::text[]) AS asked (scope)
    WHERE asked.scope <> ALL (%(removed)s::text[])
    ON CONFLICT (service_id, scope) DO NOTHING
), removed AS (
    DELETE FROM service_scope
    WHERE service_id = %(service_id)s
      AND scope = ANY (%(removed)s::text[])
), policy AS (
    SELECT scope
    FROM service_scope
    WHERE service_id = %(service_id)s
    UNION
    SELECT unnest(%(added)s::text[])
    EXCEPT
    SELECT unnest(%(removed)s::text[])
)
SELECT
    %(service_id)s::text AS id,
    ARRAY(SELECT policy.scope FROM policy ORDER BY policy.scope) AS scopes
