-- A personal token is a delegation of a person to themselves: `extended_by` is its owner. NULL: not a personal token.
ALTER TABLE refresh_token ADD COLUMN title text;
