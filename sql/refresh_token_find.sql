-- A live refresh token and its principal, for minting; no row when the token is unknown or expired, or the principal
-- disabled. Three columns may be NULL. `policy` (what its holder may ask for now) is set if the token is a delegation to
-- a service, `not_after` (its expiry in seconds since the epoch) if it is a delegation, personal tokens included, and
-- `auth_time` (when it was made) if it is a person's session.
--
-- Its last use is noted at most once in `use_seconds`. This update waits neither for a row lock nor for a standby.
WITH used AS (
    UPDATE refresh_token
    SET last_used_at = now(),
        expires_at = CASE
            WHEN idle_timeout_seconds IS NULL THEN expires_at
            ELSE least(ends_at, now() + make_interval(secs => idle_timeout_seconds))
        END
    WHERE token_hash = (
        SELECT token_hash
        FROM refresh_token
        WHERE token_hash = %(token_hash)s
          AND (expires_at IS NULL OR expires_at > now())
          AND (
              coalesce(last_used_at, CASE WHEN extended_by IS NULL THEN created_at END)
              > now() - make_interval(secs => %(use_seconds)s)
          ) IS NOT TRUE
        FOR NO KEY UPDATE SKIP LOCKED
    )
    RETURNING set_config('synchronous_commit', 'off', true)
)
SELECT
    token.public_session_reference, token.scopes, token.access_token_lifetime_ms,
    token.extended_by, token.extended_by_chain,
    principal.id, principal.uid, principal.role, principal.principal_type,
    principal.first_names, principal.last_name, principal.email, principal.org_id,
    principal.two_factor_authentication,
    principal.password_hash IS NOT NULL AS has_password,
    (principal.accepted_sla_version = (SELECT max(version) FROM sla)) IS NOT FALSE AS has_accepted_sla,
    CASE WHEN token.extended_by IS NULL AND principal.principal_type IN ('password', 'wayf') THEN
        floor(extract(epoch FROM token.created_at))::bigint
    END AS auth_time,
    CASE WHEN token.extended_by <> token.principal_id THEN
        ARRAY(SELECT scope FROM service_scope WHERE service_id = token.extended_by)
    END AS policy,
    CASE WHEN token.extended_by IS NOT NULL THEN
        extract(epoch FROM token.expires_at)::double precision
    END AS not_after
FROM refresh_token AS token
JOIN principal ON principal.id = token.principal_id
WHERE token.token_hash = %(token_hash)s
  AND (token.expires_at IS NULL OR token.expires_at > now())
  AND principal.disabled_at IS NULL
