-- Ends one refresh token, and by the foreign key the delegations made from it. Returns its owner. No row when the token
-- is unknown or expired. The principal is locked first, see "Lock order" in docs/architecture.md.
WITH owner AS (
    SELECT principal.id
    FROM refresh_token AS token
    JOIN principal ON principal.id = token.principal_id
    WHERE token.token_hash = %(token_hash)s
    FOR NO KEY UPDATE OF principal
)
DELETE FROM refresh_token AS token
USING owner
WHERE token.token_hash = %(token_hash)s
  AND token.principal_id = owner.id
  AND (token.expires_at IS NULL OR token.expires_at > now())
RETURNING token.principal_id, token.public_session_reference, token.extended_by_chain
