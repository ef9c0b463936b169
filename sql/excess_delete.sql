-- Ends up to %(batch)s of a person's sessions (`extended_by` NULL) or delegations of one service, except those that are
-- kept: first those of the shortest chain, of these the newest, since a delegation ends with the one that it was made from.
-- The principal is locked first, see "Lock order" in docs/architecture.md.
WITH person AS (
    SELECT id
    FROM principal
    WHERE id = %(principal_id)s
      AND principal_type IN ('password', 'wayf')
    FOR NO KEY UPDATE
), excess AS MATERIALIZED (
    SELECT token.token_hash
    FROM person
    JOIN refresh_token AS token ON token.principal_id = person.id
    WHERE token.extended_by IS NOT DISTINCT FROM %(extended_by)s
      AND (token.expires_at IS NULL OR token.expires_at > now())
    ORDER BY cardinality(token.extended_by_chain), token.created_at DESC, token.public_session_reference
    LIMIT %(batch)s
    OFFSET %(kept)s
)
DELETE FROM refresh_token
WHERE token_hash = ANY (ARRAY(SELECT token_hash FROM excess))
