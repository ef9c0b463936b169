-- Removes a principal of one kind; its refresh tokens and those it extended go with it (foreign keys). These are
-- locked in order before, so that two such statements cannot deadlock.
WITH ended AS MATERIALIZED (
    SELECT token_hash
    FROM refresh_token
    WHERE principal_id = %(id)s
       OR extended_by = %(id)s
    ORDER BY token_hash
    FOR UPDATE
)
DELETE FROM principal
WHERE id = %(id)s
  AND principal_type = ANY (%(principal_types)s)
  AND (SELECT count(*) FROM ended) >= 0
RETURNING id
