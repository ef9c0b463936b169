-- Checks the rows from before 0009, under a lock that blocks neither reads nor writes.
ALTER TABLE refresh_token VALIDATE CONSTRAINT refresh_token_made_from;
