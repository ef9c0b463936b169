-- Ends all sessions of a person, for the command line. Delegations live on.
DELETE FROM refresh_token
WHERE principal_id = %(id)s
  AND extended_by IS NULL
