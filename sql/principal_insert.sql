-- A new principal; no row when the id is taken.
INSERT INTO principal (id, role, principal_type, first_names, last_name, email, org_id, password_hash)
VALUES (
    %(id)s, %(role)s, %(principal_type)s,
    %(first_names)s, %(last_name)s, %(email)s, %(org_id)s, %(password_hash)s
)
ON CONFLICT (id) DO NOTHING
RETURNING id, uid
