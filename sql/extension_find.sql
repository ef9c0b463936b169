-- The person whose access token is to be extended, and the scopes that the bearer's policy allows. For an extension
-- without a refresh token also `issued_at` and `not_after`, its latest end (NULL: no limit), in seconds since the
-- epoch. No row when the grant of either token has ended, or the token to extend is not a person's.
SELECT
    person.id, person.uid, person.role, person.principal_type,
    person.first_names, person.last_name, person.email, person.org_id,
    person.two_factor_authentication,
    person.password_hash IS NOT NULL AS has_password,
    (person.accepted_sla_version = (SELECT max(version) FROM sla)) IS NOT FALSE AS has_accepted_sla,
    ARRAY(SELECT scope FROM service_scope WHERE service_id = %(bearer_id)s) AS policy,
    floor(extract(epoch FROM now()))::bigint AS issued_at,
    least(%(user_not_after)s::double precision, (
        SELECT extract(epoch FROM expires_at)::double precision
        FROM refresh_token
        WHERE public_session_reference = %(user_grant_reference)s
          AND extended_by IS NOT NULL
    )) AS not_after
FROM live_principal(%(user_id)s, %(user_uid)s, %(user_grant_reference)s, %(user_issued_at)s) AS person
CROSS JOIN live_principal(%(bearer_id)s, %(bearer_uid)s, %(bearer_grant_reference)s, %(bearer_issued_at)s) AS bearer
WHERE person.principal_type IN ('password', 'wayf')
