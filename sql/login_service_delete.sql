-- Removes a login service; sessions made through it go on.
DELETE FROM login_service
WHERE name = %(name)s
RETURNING name
