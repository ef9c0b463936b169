-- Takes one attempt's count back: the password was right, or nobody looked at it. Where it was the one that started a
-- cooldown, the cooldown is gone with it.
WITH locked AS MATERIALIZED (
    SELECT key, failures, array_position(failures, %(attempted_at)s) AS place
    FROM login_limit
    WHERE key = ANY (%(keys)s::bytea[])
    ORDER BY key
    FOR UPDATE
)
UPDATE login_limit
SET failures = locked.failures[:place - 1] || locked.failures[place + 1:]
FROM locked
WHERE login_limit.key = locked.key
  AND place IS NOT NULL
