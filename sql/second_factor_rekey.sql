-- Stores the secrets that were encrypted again. Skips a row where `new` is NULL or equals `old`, or where the secret has
-- changed since it was read. The rows are locked in the order of their ids, so that two such commands do not deadlock.
WITH renewed AS MATERIALIZED (
    SELECT second_factor.principal_id, renewed.new
    FROM unnest(%(principal_id)s::text[], %(secret)s::text[], %(new)s::text[]) AS renewed (principal_id, old, new)
    JOIN second_factor ON second_factor.principal_id = renewed.principal_id AND second_factor.secret = renewed.old
    WHERE renewed.new <> renewed.old
    ORDER BY second_factor.principal_id
    FOR UPDATE OF second_factor
)
UPDATE second_factor
SET secret = renewed.new
FROM renewed
WHERE second_factor.principal_id = renewed.principal_id
