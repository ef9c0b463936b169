-- Ends up to `batch` of a person's sessions (`extended_by` NULL) or delegations of one service, and keeps `kept`.
-- It keeps the shortest chains first, since a delegation ends with its source. Of equal chains it keeps the newest. The
-- principal is locked first, see "Lock order" in docs/architecture.md.
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
