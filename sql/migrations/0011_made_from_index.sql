-- Finds the delegations that end with another one. Made before the foreign key: from then on each deletion looks here.
DROP INDEX CONCURRENTLY IF EXISTS refresh_token_made_from;
CREATE INDEX CONCURRENTLY refresh_token_made_from ON refresh_token (made_from) WHERE made_from IS NOT NULL;
