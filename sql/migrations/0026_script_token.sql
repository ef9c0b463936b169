-- A personal token is a delegation of a person to themselves: `extended_by` is its owner. `title` is NULL for
-- all other tokens.
ALTER TABLE refresh_token ADD COLUMN title text;
