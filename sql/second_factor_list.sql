-- The next batch of secrets, in the order of their owners' ids: those after the id `after`.
SELECT second_factor.principal_id, second_factor.secret, principal.uid
FROM second_factor
JOIN principal ON principal.id = second_factor.principal_id
WHERE second_factor.principal_id > %(after)s
ORDER BY second_factor.principal_id
LIMIT %(batch)s
