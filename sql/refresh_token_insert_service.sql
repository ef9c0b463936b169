-- A service's own refresh token, which does not expire.
INSERT INTO refresh_token (token_hash, principal_id, scopes, access_token_lifetime_ms)
VALUES (%(token_hash)s, %(principal_id)s, %(scopes)s, %(access_token_lifetime_ms)s)
