-- A service's own refresh token. Its scope is all:write, and it does not expire.
INSERT INTO refresh_token (token_hash, principal_id, scopes, access_token_lifetime_ms)
VALUES (%(token_hash)s, %(service_id)s, '{all:write}', %(access_token_lifetime_ms)s)
