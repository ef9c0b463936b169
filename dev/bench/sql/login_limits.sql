-- A wrong password of long ago, for each key of every person.
INSERT INTO login_limit (key, failures, expires_at)
SELECT sha256((kind || n)::bytea), '{2026-01-01}', now() + interval '1 day'
FROM generate_series(1, %(people)s) AS n, unnest('{pair,network,username}'::text[]) AS kind
