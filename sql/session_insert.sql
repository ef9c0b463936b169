-- Stores a session for a person whose password was just verified. A person with a second factor needs more: a code of
-- `step`, which was verified too (NULL: no code), or the recovery code with `recovery_hash` (NULL: none), which is
-- compared here. No row when the person was since disabled, deleted (perhaps created again), given a new password or
-- another factor, when the recovery code is wrong, or when the step was spent: only one of several equal codes makes a
-- session. `new_hash` (NULL: none) replaces an old kind of hash of that password. Ends the oldest sessions beyond the
-- bound, and returns how many (`revoked`). It ends at most as many as the bound, so that a login is quick. A recovery
-- code removes the factor and ends all earlier sessions. Because of the lock, logins and changes of the same person run
-- one after another.
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
      AND person.two_factor_authentication
      AND second_factor.last_step < %(step)s
    RETURNING second_factor.principal_id
), removed AS (
    DELETE FROM second_factor
    USING person
    WHERE second_factor.principal_id = person.id
      AND person.two_factor_authentication
      AND second_factor.recovery_hash = %(recovery_hash)s
      AND %(step)s::bigint IS NULL
    RETURNING second_factor.principal_id
), admitted AS (
    SELECT
        id,
        EXISTS (SELECT FROM spent) AS two_factor_authentication,
        EXISTS (SELECT FROM removed) AS is_recovery
    FROM person
    WHERE NOT two_factor_authentication
       OR EXISTS (SELECT FROM spent)
       OR EXISTS (SELECT FROM removed)
), changed AS (
    UPDATE principal
    SET password_hash = coalesce(%(new_hash)s, principal.password_hash),
        two_factor_authentication = admitted.two_factor_authentication,
        password_generation = principal.password_generation + admitted.is_recovery::integer
    FROM admitted
    WHERE principal.id = admitted.id
      AND (%(new_hash)s::text IS NOT NULL OR admitted.is_recovery)
), earlier AS MATERIALIZED (
    SELECT
        id,
        two_factor_authentication,
        CASE
            WHEN is_recovery THEN end_other_sessions(id, NULL)
            ELSE end_sessions(id, %(sessions)s - 1, %(sessions)s)
        END AS revoked
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
    earlier.two_factor_authentication,
    earlier.revoked
FROM session
CROSS JOIN earlier
