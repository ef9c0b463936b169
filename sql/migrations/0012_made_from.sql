-- A delegation ends with the one that it was made from. NOT VALID spares the table a scan under lock: every row that is
-- there has NULL.
ALTER TABLE refresh_token ADD CONSTRAINT refresh_token_made_from FOREIGN KEY (made_from)
    REFERENCES refresh_token (token_hash) ON DELETE CASCADE NOT VALID;
