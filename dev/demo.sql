-- The accounts of `make run`, with the credentials that it prints. Their sessions go on.
WITH person AS (
    INSERT INTO principal (id, role, principal_type, first_names, last_name, password_hash)
    VALUES
        ('user@dev', 'USER', 'password', 'User', 'Dev', %(user_hash)s),
        ('admin@dev', 'ADMIN', 'password', 'Admin', 'Dev', %(admin_hash)s)
    ON CONFLICT (id) DO UPDATE
    SET password_hash = excluded.password_hash,
        password_generation = principal.password_generation + 1,
        disabled_at = NULL
),
service AS (
    INSERT INTO principal (id, role, principal_type)
    VALUES ('_demo', 'SERVICE', 'service')
    ON CONFLICT (id) DO NOTHING
),
policy AS (
    INSERT INTO service_scope (service_id, scope)
    VALUES ('_demo', 'files:write'), ('_demo', 'jobs:write')
    ON CONFLICT (service_id, scope) DO NOTHING
),
token AS (
    INSERT INTO refresh_token (token_hash, principal_id, scopes, access_token_lifetime_ms)
    VALUES (%(token_hash)s, '_demo', '{all:write}', %(access_token_lifetime_ms)s)
    ON CONFLICT (token_hash) DO NOTHING
)
-- The port may be another one than in the last run.
INSERT INTO login_service (name, endpoint, mode)
VALUES ('web', %(endpoint)s, 'WEB'), ('app', %(endpoint)s, 'APPLICATION')
ON CONFLICT (name) DO UPDATE
SET endpoint = excluded.endpoint,
    mode = excluded.mode,
    refresh_token_ttl_seconds = NULL,
    idle_timeout_seconds = NULL
