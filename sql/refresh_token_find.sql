-- A live refresh token and its principal, for minting; no row when the token is unknown or expired, or the principal
-- disabled. A delegation has its holder's present policy and its end in seconds since the epoch; else both are NULL.
SELECT
    token.public_session_reference, token.scopes, token.access_token_lifetime_ms,
    token.extended_by, token.extended_by_chain,
    principal.id, principal.uid, principal.role, principal.principal_type,
    principal.first_names, principal.last_name, principal.email, principal.org_id,
    principal.two_factor_authentication, principal.service_license_agreement,
    CASE WHEN token.extended_by IS NOT NULL THEN
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
