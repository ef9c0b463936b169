-- Checks the rows from before 0009, without a lock that anything waits for.
ALTER TABLE refresh_token VALIDATE CONSTRAINT refresh_token_made_from;
