-- Stores secrets that were encrypted again, where they differ from those that were read, unless another change came
-- first. The rows are locked in the order of their ids, so that two such commands do not deadlock.
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
