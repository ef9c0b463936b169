-- The rows of the replayed requests, in a fresh database. Ids, uids and most times are fixed, so that answers can be
-- compared. Both requirements of a person are met, since release 1.1.0 puts these columns into access tokens.
INSERT INTO principal (
    id, uid, role, principal_type, first_names, last_name, email, org_id, password_hash,
    two_factor_authentication, service_license_agreement, disabled_at, tokens_ended_at
)
OVERRIDING SYSTEM VALUE
SELECT
    id, uid, role, principal_type,
    CASE WHEN is_person THEN 'Zoë "Z" <i>' END, CASE WHEN is_person THEN 'Łaska 😀' END,
    CASE WHEN id = 'ada' THEN 'ada@example.org' END, CASE WHEN id = 'ada' THEN 'sdu.dk' END,
    CASE WHEN principal_type = 'password' THEN %(password_hash)s END,
    is_person, is_person, CASE WHEN id = 'gone' THEN now() END, '-infinity'
FROM (VALUES
    ('ada', 101, 'USER', 'password'),
    ('root', 102, 'ADMIN', 'password'),
    ('guest', 103, 'GUEST', 'password'),
    ('third', 104, 'THIRD_PARTY_APP', 'password'),
    ('wayf', 105, 'USER', 'wayf'),
    ('gone', 106, 'USER', 'password'),
    ('carl', 107, 'USER', 'password'),
    ('dora', 108, 'USER', 'password'),
    ('erin', 109, 'USER', 'password'),
    ('many', 110, 'USER', 'password'),
    ('bert', 111, 'USER', 'password'),
    ('lock', 112, 'USER', 'password'),
    ('web', 113, 'USER', 'password'),
    ('out', 114, 'USER', 'password'),
    ('#P_storage', 115, 'PROVIDER', 'provider'),
    ('_files', 116, 'SERVICE', 'service'),
    ('_mail', 117, 'SERVICE', 'service'),
    ('_wide', 118, 'SERVICE', 'service')
) AS given (id, uid, role, principal_type)
CROSS JOIN LATERAL (SELECT principal_type IN ('password', 'wayf')) AS kind (is_person);

UPDATE principal
SET reset_token_hash = sha256('reset-token-of-dora'), reset_expires_at = now() + interval '1 day'
WHERE id = 'dora';

UPDATE principal
SET reset_token_hash = sha256('reset-token-of-erin'), reset_expires_at = now() - interval '1 day'
WHERE id = 'erin';

INSERT INTO service_scope (service_id, scope)
VALUES
    ('_files', 'files:read'), ('_files', 'files:write'), ('_files', 'jobs.run:write'), ('_files', 'special.ui:write'),
    ('_mail', 'files:read'),
    ('_wide', 'all:write');

INSERT INTO login_service (name, endpoint, mode, refresh_token_ttl_seconds, idle_timeout_seconds)
VALUES
    ('app', 'https://cloud.example.org/app', 'APPLICATION', NULL, NULL),
    ('web', 'https://cloud.example.org/a?b=c&d="e''<f>', 'WEB', 86400, NULL),
    ('idle', 'https://cloud.example.org/idle', 'APPLICATION', 86400, 3600);

-- Sessions and the tokens of services. The last two digits of a reference are `number`.
INSERT INTO refresh_token (
    token_hash, principal_id, public_session_reference, scopes, access_token_lifetime_ms,
    created_at, expires_at, ip_address, user_agent
)
SELECT
    sha256(('token-' || name)::bytea), principal_id, ('a0000000-0000-4000-8000-0000000000' || number)::uuid,
    '{all:write}', 600000, timestamptz '2026-01-01T00:00:00.123Z' + make_interval(secs => number),
    CASE WHEN name = 'expired' THEN now() - interval '1 day' END,
    CASE WHEN name <> 'ada-2' THEN inet '2001:db8::7' END, CASE WHEN name <> 'ada-2' THEN 'Agent/1 "é" <b>' END
FROM (VALUES
    ('ada', 'ada', 11), ('ada-2', 'ada', 12), ('expired', 'ada', 13), ('root', 'root', 14), ('guest', 'guest', 15),
    ('third', 'third', 16), ('wayf', 'wayf', 17), ('gone', 'gone', 18), ('carl', 'carl', 19), ('carl-2', 'carl', 20),
    ('dora', 'dora', 21), ('erin', 'erin', 22), ('bert', 'bert', 23), ('bert-2', 'bert', 24), ('bert-3', 'bert', 25),
    ('web', 'web', 26), ('web-2', 'web', 27), ('out', 'out', 28), ('out-2', 'out', 29), ('out-3', 'out', 30),
    ('storage', '#P_storage', 31), ('files', '_files', 32), ('mail', '_mail', 33), ('wide', '_wide', 34)
) AS given (name, principal_id, number);

-- The sessions of a person who has more than a page of them.
INSERT INTO refresh_token (
    token_hash, principal_id, public_session_reference, scopes, access_token_lifetime_ms, created_at, ip_address
)
SELECT
    sha256(('token-many-' || number)::bytea), 'many', ('b0000000-0000-4000-8000-0000000000' || number)::uuid,
    '{all:write}', 600000, timestamptz '2026-01-02Z' + make_interval(secs => number), '192.0.2.1'
FROM generate_series(11, 22) AS number;

-- Delegations.
INSERT INTO refresh_token (
    token_hash, principal_id, public_session_reference, scopes, access_token_lifetime_ms,
    extended_by, extended_by_chain, created_at, expires_at, last_used_at, made_from
)
SELECT
    sha256(('token-' || name)::bytea), principal_id, ('c0000000-0000-4000-8000-0000000000' || number)::uuid,
    scopes, 60000, chain[cardinality(chain)], chain, timestamptz '2026-01-03Z' + make_interval(secs => number),
    coalesce(expires_at, '2099-01-01Z'), last_used_at, sha256(('token-' || made_from)::bytea)
FROM (VALUES
    ('of-ada', 'ada', 11, '{files:read,files:write}'::text[], '{_files}'::text[], NULL::timestamptz, NULL::timestamptz, NULL),
    ('of-ada-2', 'ada', 12, '{files:read}', '{_files,_mail}', NULL, '2026-02-01Z', 'of-ada'),
    ('of-ada-narrowed', 'ada', 13, '{files:read,mail:read}', '{_mail}', NULL, NULL, NULL),
    ('of-ada-nothing', 'ada', 14, '{mail:read}', '{_mail}', NULL, NULL, NULL),
    ('of-ada-expired', 'ada', 15, '{files:read}', '{_files}', '2026-02-02Z', NULL, NULL),
    ('of-carl', 'carl', 16, '{files:read}', '{_files}', NULL, NULL, NULL),
    ('of-bert', 'bert', 17, '{files:read}', '{_files}', NULL, NULL, NULL),
    ('of-bert-2', 'bert', 18, '{files:read}', '{_files}', NULL, NULL, NULL)
) AS given (name, principal_id, number, scopes, chain, expires_at, last_used_at, made_from);

-- A cooldown of this pair has just ended, so its next one lasts 25 seconds and not 5: longer than a slow machine waits.
INSERT INTO login_limit (key, severity, cooled_down_at, expires_at)
VALUES (sha256('pair\000203.0.113.20/32\000lock'::bytea), 1, now(), now() + interval '1 hour');
