-- Adds scopes to a service's policy, except those that it has already.
INSERT INTO service_scope (service_id, scope)
SELECT %(service_id)s, unnest(%(scopes)s::text[])
ON CONFLICT (service_id, scope) DO NOTHING
