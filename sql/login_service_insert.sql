-- A new login service; no row when the name is taken.
INSERT INTO login_service (name, endpoint, mode, refresh_token_ttl_seconds, idle_timeout_seconds)
VALUES (%(name)s, %(endpoint)s, %(mode)s, %(refresh_token_ttl_seconds)s, %(idle_timeout_seconds)s)
ON CONFLICT (name) DO NOTHING
RETURNING name
