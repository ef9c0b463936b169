-- Takes the count of one attempt back: its password was right, or was not checked. The keys are in the order in which
-- login_attempt_start locked them. If the row is blocked, this attempt was needed to reach the limit: the block ends,
-- and the severity of its cooldown is taken back too. The commit does not wait for a standby: if it is lost, a later
-- login is only blocked sooner.
WITH locked AS MATERIALIZED (
    SELECT key, failures, array_position(failures, to_timestamp(%(attempted_at)s / 1000000.0)) AS place
    FROM unnest(%(keys)s::bytea[]) WITH ORDINALITY AS attempt (key, position)
    JOIN login_limit USING (key)
    ORDER BY position
    FOR UPDATE OF login_limit
)
UPDATE login_limit
SET failures = locked.failures[:place - 1] || locked.failures[place + 1:],
    severity = CASE WHEN blocked_until IS NULL THEN severity ELSE greatest(severity - 1, 0) END,
    blocked_until = NULL
FROM locked
WHERE login_limit.key = locked.key
  AND place IS NOT NULL
RETURNING set_config('synchronous_commit', 'off', true)
