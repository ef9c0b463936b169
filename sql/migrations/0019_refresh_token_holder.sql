-- Finds a service's delegations, and those of one person: each extension counts them.
DROP INDEX CONCURRENTLY IF EXISTS refresh_token_holder;
CREATE INDEX CONCURRENTLY refresh_token_holder ON refresh_token (extended_by, principal_id)
    WHERE extended_by IS NOT NULL;
DROP INDEX CONCURRENTLY IF EXISTS refresh_token_extended_by;
