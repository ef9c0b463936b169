-- Removes scopes from a service's policy.
DELETE FROM service_scope
WHERE service_id = %(service_id)s
  AND scope = ANY (%(scopes)s)
