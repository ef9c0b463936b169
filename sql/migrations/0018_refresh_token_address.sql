-- Finds a person's tokens, and those from one network: each login checks whether its network is known.
DROP INDEX CONCURRENTLY IF EXISTS refresh_token_principal_address;
CREATE INDEX CONCURRENTLY refresh_token_principal_address ON refresh_token (principal_id, ip_address);
DROP INDEX CONCURRENTLY IF EXISTS refresh_token_principal;
