-- People with sessions, people who log in, a service, and a login service.
WITH person AS (
    INSERT INTO principal (id, role, principal_type, first_names, last_name, email, password_hash)
    SELECT 'person-' || n, 'USER', 'password', 'Ada', 'Lovelace', 'person-' || n || '@example.org', 'a'
    FROM generate_series(0, %(people)s) AS n
),
login AS (
    INSERT INTO principal (id, role, principal_type, first_names, last_name, password_hash)
    SELECT 'login-' || n, 'USER', 'password', 'Ada', 'Lovelace', %(password_hash)s
    FROM generate_series(1, %(logins)s) AS n
),
service AS (
    INSERT INTO principal (id, role, principal_type) VALUES ('_bench', 'SERVICE', 'service')
),
policy AS (
    INSERT INTO service_scope (service_id, scope) VALUES ('_bench', 'files:read')
)
INSERT INTO login_service (name, endpoint, mode) VALUES ('app', 'https://cloud.example.org/app', 'APPLICATION')
