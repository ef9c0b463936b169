-- Stores a session for a person whose password was just verified. No row when the person was since disabled, deleted
-- (perhaps created again) or given a new password. `new_hash` (NULL: none) replaces an old kind of hash of that
-- password. Ends the oldest sessions beyond the bound, and returns how many (`revoked`). It ends at most as many as the
-- bound, so that a login is quick. Because of the lock, logins and changes of the same person run one after another.
WITH person AS (
    SELECT id
    FROM principal
    WHERE id = %(id)s
      AND uid = %(uid)s
      AND disabled_at IS NULL
      AND password_generation = %(password_generation)s
    FOR NO KEY UPDATE
), rehashed AS (
    UPDATE principal
    SET password_hash = %(new_hash)s
    FROM person
    WHERE principal.id = person.id
      AND %(new_hash)s::text IS NOT NULL
), earlier AS MATERIALIZED (
    SELECT id, end_sessions(id, %(sessions)s - 1, %(sessions)s) AS revoked
    FROM person
), session AS (
    INSERT INTO refresh_token (
        token_hash, principal_id, scopes, access_token_lifetime_ms,
        expires_at, ends_at, idle_timeout_seconds, ip_address, user_agent
    )
    SELECT
        %(token_hash)s, earlier.id, %(scopes)s, %(access_token_lifetime_ms)s,
        now() + make_interval(
            secs => least(%(refresh_token_ttl_seconds)s::double precision, %(idle_timeout_seconds)s::double precision)
        ),
        now() + make_interval(secs => %(refresh_token_ttl_seconds)s::double precision),
        %(idle_timeout_seconds)s, %(ip_address)s::inet, %(user_agent)s
    FROM earlier
    RETURNING public_session_reference
)
SELECT session.public_session_reference, earlier.revoked
FROM session
CROSS JOIN earlier
