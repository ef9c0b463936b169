-- The bearer of a live access token. `not_after` is the latest end of a token that is made from it, in seconds since
-- the epoch: the earlier of `bearer_not_after` and the expiry of the delegation that it names (NULL: neither is set).
-- No row when the token's grant has ended.
SELECT
    bearer.id, bearer.uid, bearer.role, bearer.principal_type,
    bearer.first_names, bearer.last_name, bearer.email, bearer.org_id,
    bearer.two_factor_authentication,
    bearer.password_hash IS NOT NULL AS has_password,
    (bearer.accepted_sla_version = (SELECT max(version) FROM sla)) IS NOT FALSE AS has_accepted_sla,
    least(%(bearer_not_after)s::double precision, (
        SELECT extract(epoch FROM expires_at)::double precision
        FROM refresh_token
        WHERE public_session_reference = %(bearer_grant_reference)s
          AND extended_by IS NOT NULL
    )) AS not_after
FROM live_principal(%(bearer_id)s, %(bearer_uid)s, %(bearer_grant_reference)s, %(bearer_issued_at)s) AS bearer
