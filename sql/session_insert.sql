-- A session for a person whose password was just verified; no row when the person was disabled, deleted (perhaps created
-- again) or given a new password since. FOR SHARE: this statement and such a change run one after the other.
WITH person AS (
    SELECT id
    FROM principal
    WHERE id = %(principal_id)s
      AND uid = %(principal_uid)s
      AND disabled_at IS NULL
      AND password_generation = %(password_generation)s
    FOR SHARE
)
INSERT INTO refresh_token (
    token_hash, principal_id, scopes, access_token_lifetime_ms,
    expires_at, ends_at, idle_timeout_seconds, ip_address, user_agent
)
SELECT
    %(token_hash)s, person.id, %(scopes)s, %(access_token_lifetime_ms)s,
    now() + make_interval(secs => least(%(ttl_seconds)s::double precision, %(idle_timeout_seconds)s::double precision)),
    now() + make_interval(secs => %(ttl_seconds)s::double precision),
    %(idle_timeout_seconds)s, %(ip_address)s::inet, %(user_agent)s
FROM person
RETURNING public_session_reference
