-- One service, with the scopes it may ask for; no row when there is none. The row stays locked until the
-- transaction ends.
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
  AND service.id = %(id)s
FOR UPDATE OF service
