-- The claim of a one-time token, or no row.
SELECT jti
FROM jti_claim
WHERE jti = %(jti)s
