-- For doctor: one stored hash of each kind and cost, how many users have such a hash, and the first of their ids. The
-- kind and the cost are the text before the last two parts, which are salt and key. In bcrypt these two are one part.
SELECT min(password_hash) AS password_hash, count(*) AS users, min(id) AS first_id
FROM principal
WHERE password_hash IS NOT NULL
GROUP BY substring(password_hash FROM '^(?:[^$]*\$\$?2[abxy]?\$[0-9]+|.*(?=\$[^$]*\$))')
ORDER BY first_id
