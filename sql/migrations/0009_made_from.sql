-- The delegation from whose access token this delegation was made; it ends with that one. NOT VALID spares the table a
-- scan under lock; every row that is there has NULL.
ALTER TABLE refresh_token ADD COLUMN made_from bytea;
ALTER TABLE refresh_token ADD CONSTRAINT refresh_token_made_from FOREIGN KEY (made_from)
    REFERENCES refresh_token (token_hash) ON DELETE CASCADE NOT VALID;

-- Finds the delegations that end with another one.
CREATE INDEX refresh_token_made_from ON refresh_token (made_from) WHERE made_from IS NOT NULL;
