-- Ends all sessions and delegations of people. Run in the transaction that has locked all people.
DELETE FROM refresh_token
USING principal
WHERE principal.id = refresh_token.principal_id
  AND principal.principal_type IN ('password', 'wayf')
