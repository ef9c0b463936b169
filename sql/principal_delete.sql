-- Deletes a principal of the given types. Foreign keys delete its refresh tokens and the delegations that it holds. The
-- principals of all these tokens are locked first, in the order of their ids, against deadlocks.
WITH owner AS MATERIALIZED (
    SELECT id
    FROM principal
    WHERE id = ANY (ARRAY(SELECT principal_id FROM refresh_token WHERE extended_by = %(id)s) || %(id)s::text)
    ORDER BY id
    FOR UPDATE
)
DELETE FROM principal
USING owner
WHERE principal.id = owner.id
  AND principal.id = %(id)s
  AND principal.principal_type = ANY (%(principal_types)s)
RETURNING principal.id
