-- A new service; no row when the id is taken.
INSERT INTO principal (id, role, principal_type)
VALUES (%(id)s, 'SERVICE', 'service')
ON CONFLICT (id) DO NOTHING
RETURNING id
