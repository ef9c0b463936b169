-- One stored hash of each kind and cost, for doctor: how many users have such a hash, and the first of their ids. All but
-- the salt and the key are the kind and the cost; in bcrypt, those two are one part.
SELECT min(password_hash) AS password_hash, count(*) AS users, min(id) AS first_id
FROM principal
WHERE password_hash IS NOT NULL
GROUP BY substring(password_hash FROM '^(?:[^$]*\$\$?2[abxy]?\$[0-9]+|.*(?=\$[^$]*\$))')
