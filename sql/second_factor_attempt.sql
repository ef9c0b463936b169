-- Counts a code before it is checked, and returns the secret that checks it. `is_blocked`: too many codes in a row were
-- wrong, and this one must not be checked. No row when the person has no factor.
UPDATE second_factor
SET failures = least(failures + 1, %(codes)s + 1)
WHERE principal_id = %(id)s
RETURNING secret, failures > %(codes)s AS is_blocked
