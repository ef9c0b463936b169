-- What a token says of a principal; no row when it is gone or disabled.
SELECT
    id, uid, role, principal_type, first_names, last_name, email, org_id,
    two_factor_authentication, service_license_agreement
FROM principal
WHERE id = %(id)s
  AND disabled_at IS NULL
