-- Claims of the last 30 days.
INSERT INTO jti_claim (jti, claimed_at)
SELECT md5(n::text)::uuid::text, now() - n * (interval '30 days' / %(count)s)
FROM generate_series(1, %(count)s) AS n
