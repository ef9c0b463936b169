-- Lets a service ask for more scopes; those it has already are left.
INSERT INTO service_scope (service_id, scope)
SELECT %(service_id)s, unnest(%(scopes)s::text[])
ON CONFLICT (service_id, scope) DO NOTHING
