-- Makes the rows that a login is counted in, where they are missing, so that login_attempt_start can lock them.
INSERT INTO login_limit (key, expires_at)
SELECT unnest(%(keys)s::bytea[]), now() + make_interval(secs => %(memory_seconds)s)
ORDER BY 1
ON CONFLICT (key) DO NOTHING
