-- Counts a login as failed before its password is looked at, unless one of the three limits refuses it: the pair's
-- (a cooldown after %(pair_failures)s), the network's, and the username's, which does not hold for a network from
-- which that user has a live session. The rows are locked first, always in the order of their keys, so that of any
-- number of logins at once, on any number of servers, just as many go on as may. A refused one changes nothing.
-- No row when one of the three is missing: insert them and ask again.
WITH locked AS MATERIALIZED (
    SELECT key, failures, severity, cooled_down_at
    FROM login_limit
    WHERE key = ANY (ARRAY[%(pair)s, %(network)s, %(username)s]::bytea[])
    ORDER BY key
    FOR UPDATE
), cooldown AS (
    -- The one that the pair's last counted failure started, whether it still goes on or not.
    SELECT rank.severity, failures[%(pair_failures)s] + make_interval(secs => power(5, rank.severity)) AS ends_at
    FROM locked
    CROSS JOIN LATERAL (
        SELECT CASE
            WHEN failures[%(pair_failures)s] <= cooled_down_at + make_interval(secs => %(severity_seconds)s)
                THEN least(locked.severity + 1, %(most_severe)s)
            ELSE 1
        END AS severity
    ) AS rank
    WHERE key = %(pair)s
      AND cardinality(failures) >= %(pair_failures)s
), wide AS (
    SELECT %(network)s::bytea AS key, make_interval(secs => %(pair_seconds)s) AS span
    UNION ALL
    SELECT %(username)s, make_interval(secs => %(username_seconds)s)
    WHERE NOT EXISTS (
        SELECT
        FROM refresh_token
        WHERE principal_id = %(principal_id)s
          AND extended_by IS NULL
          AND (expires_at IS NULL OR expires_at > now())
          AND ip_address <<= %(network_address)s::inet
    )
), judged AS (
    -- Each row as it will be when the attempt is counted, or else when it may be tried again.
    SELECT
        locked.key,
        CASE WHEN cooldown.ends_at IS NULL THEN recent.failures ELSE '{}' END AS failures,
        coalesce(cooldown.severity, locked.severity) AS severity,
        coalesce(cooldown.ends_at, locked.cooled_down_at) AS cooled_down_at,
        CASE WHEN cooldown.ends_at > now() THEN cooldown.ends_at END AS retry_at
    FROM locked
    LEFT JOIN cooldown ON true
    CROSS JOIN LATERAL (
        SELECT ARRAY(
            SELECT failure
            FROM unnest(locked.failures) AS failure
            WHERE failure > now() - make_interval(secs => %(pair_seconds)s)
        ) AS failures
    ) AS recent
    WHERE locked.key = %(pair)s
    UNION ALL
    SELECT
        locked.key, recent.failures, 0, NULL,
        CASE WHEN cardinality(recent.failures) >= %(wide_failures)s THEN recent.failures[1] + wide.span END
    FROM locked
    JOIN wide ON wide.key = locked.key
    CROSS JOIN LATERAL (
        SELECT ARRAY(
            SELECT failure
            FROM unnest(locked.failures) AS failure
            WHERE failure > now() - wide.span
            ORDER BY failure
        ) AS failures
    ) AS recent
), verdict AS (
    SELECT (SELECT count(*) FROM locked) = 3 AS complete, max(retry_at) AS retry_at
    FROM judged
), counted AS (
    UPDATE login_limit
    SET failures = judged.failures || now(),
        severity = judged.severity,
        cooled_down_at = judged.cooled_down_at,
        expires_at = now() + make_interval(secs => %(memory_seconds)s)
    FROM judged, verdict
    WHERE login_limit.key = judged.key
      AND verdict.complete
      AND verdict.retry_at IS NULL
)
SELECT
    now() AS attempted_at,
    greatest(1, ceil(extract(epoch FROM verdict.retry_at - now())))::integer AS retry_after_seconds,
    verdict.retry_at IS NOT NULL AS refused
FROM verdict
WHERE verdict.complete
