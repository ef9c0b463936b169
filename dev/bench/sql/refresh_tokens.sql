-- Refresh tokens of people, or all of one owner. Their access tokens live for a day, longer than the benchmark.
INSERT INTO refresh_token (
    token_hash, public_session_reference, principal_id, scopes, access_token_lifetime_ms, created_at, expires_at,
    ip_address, user_agent
)
SELECT
    sha256((%(letter)s || lpad(n::text, 12, '0'))::bytea), md5(%(letter)s || n)::uuid,
    coalesce(%(owner)s, 'person-' || 1 + n %% %(people)s), '{all:write}', 86400000,
    now() - n * interval '1 millisecond', now() + interval '30 days' - n * interval '1 millisecond',
    '203.0.113.7', 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0'
FROM generate_series(1, %(count)s) AS n
