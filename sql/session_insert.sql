-- Stores a session for a person whose password was just verified. If the person has a second factor, the code of `step`
-- was verified too (NULL: no code). No row when the person was since disabled, deleted (perhaps created again), given a
-- new password or another factor, or when the step was spent: only one of several equal codes makes a session.
-- `new_hash` (NULL: none) replaces an old kind of hash of that password. Ends the oldest sessions beyond the bound, and
-- returns how many (`revoked`). It ends at most as many as the bound, so that a login is quick. Because of the lock,
-- logins and changes of the same person run one after another.
WITH person AS (
    SELECT id, two_factor_authentication
    FROM principal
    WHERE id = %(id)s
      AND uid = %(uid)s
      AND disabled_at IS NULL
      AND password_generation = %(password_generation)s
    FOR NO KEY UPDATE
), spent AS (
    UPDATE second_factor
    SET last_step = %(step)s,
        failures = 0
    FROM person
    WHERE second_factor.principal_id = person.id
      AND second_factor.last_step < %(step)s
    RETURNING second_factor.principal_id
), admitted AS (
    SELECT id
    FROM person
    WHERE NOT two_factor_authentication
       OR EXISTS (SELECT FROM spent)
), rehashed AS (
    UPDATE principal
    SET password_hash = %(new_hash)s
    FROM admitted
    WHERE principal.id = admitted.id
      AND %(new_hash)s::text IS NOT NULL
), earlier AS MATERIALIZED (
    SELECT id, end_sessions(id, %(sessions)s - 1, %(sessions)s) AS revoked
    FROM admitted
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
    RETURNING public_session_reference, created_at
)
SELECT
    session.public_session_reference,
    floor(extract(epoch FROM session.created_at))::bigint AS auth_time,
    earlier.revoked
FROM session
CROSS JOIN earlier
