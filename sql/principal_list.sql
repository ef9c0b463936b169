-- All people, for the command line; service_list has the services.
SELECT
    id, uid, role, principal_type, first_names, last_name, email, org_id,
    password_hash IS NOT NULL AS has_password,
    disabled_at IS NOT NULL AS disabled,
    two_factor_authentication AS "secondFactor"
FROM principal
WHERE principal_type IN ('password', 'wayf')
ORDER BY id
