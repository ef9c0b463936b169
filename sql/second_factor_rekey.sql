-- Stores secrets that were encrypted again, unless they have changed since they were read. The rows are locked
-- in the order of their ids, so that two such commands do not deadlock.
WITH renewed AS MATERIALIZED (
    SELECT second_factor.principal_id, renewed.new
    FROM unnest(%(principal_ids)s::text[], %(old)s::text[], %(new)s::text[]) AS renewed (principal_id, old, new)
    JOIN second_factor ON second_factor.principal_id = renewed.principal_id AND second_factor.secret = renewed.old
    ORDER BY second_factor.principal_id
    FOR UPDATE OF second_factor
)
UPDATE second_factor
SET secret = renewed.new
FROM renewed
WHERE second_factor.principal_id = renewed.principal_id
