-- A thousand claims that a purge deletes.
INSERT INTO jti_claim (jti, claimed_at)
SELECT 'expired-' || n, now() - interval '31 days' FROM generate_series(1, 1000) AS n
