-- The bearer of a live access token, and when a token that is made from it must end, in seconds since the epoch (NULL: at
-- no given time): at %(not_after)s, and not after the delegation that it names. No row when the token's grant has ended.
SELECT
    bearer.id, bearer.uid, bearer.role, bearer.principal_type,
    bearer.first_names, bearer.last_name, bearer.email, bearer.org_id,
    bearer.two_factor_authentication, bearer.service_license_agreement,
    bearer.password_hash IS NOT NULL AS has_password,
    least(%(not_after)s::double precision, (
        SELECT extract(epoch FROM expires_at)::double precision
        FROM refresh_token
        WHERE public_session_reference = %(bearer_reference)s
          AND extended_by IS NOT NULL
    )) AS not_after
FROM live_principal(%(bearer_id)s, %(bearer_uid)s, %(bearer_reference)s, %(bearer_issued_at)s) AS bearer
