-- Counts a login as failed before its password is checked: for the pair of network and username, then for the network,
-- then for the username (not in a known network, see login_find). A blocked row counts nothing. If the pair is blocked,
-- the network and the username are not counted either. `retry_after_seconds`, at least 1: parallel logins reached a
-- limit first, and it blocks for that long (NULL: no limit was reached). `attempted_at` is in microseconds since the
-- epoch.
--
-- An upsert waits for the row and then sees its latest version, so that parallel logins are counted one after another.
-- All statements lock the rows in the same order, so that no two of them wait for each other.
--
-- Example, a pair: failures at 10:00, 10:01, 10:02, 10:03 and 10:04 block it until 10:04:05, with severity 1. The next
-- failure, at 10:06, sets cooled_down_at to 10:04:05; failures before that do not count any more. If the fifth failure
-- after it comes by 11:04:05, it blocks the pair for 25 s, with severity 2.
WITH pair AS (
    INSERT INTO login_limit (key, failures, expires_at)
    VALUES (%(pair_key)s, ARRAY[now()], now() + make_interval(secs => %(memory_seconds)s))
    ON CONFLICT (key) DO UPDATE
    SET (failures, severity, cooled_down_at, blocked_until, expires_at) = (
        SELECT
            recent.failures,
            CASE WHEN recent.are_full THEN next.severity ELSE login_limit.severity END,
            last.ended_at,
            CASE WHEN recent.are_full THEN now() + make_interval(secs => power(5, next.severity)) END,
            excluded.expires_at
        FROM (SELECT greatest(login_limit.cooled_down_at, login_limit.blocked_until) AS ended_at) AS last
        CROSS JOIN LATERAL (
            SELECT CASE
                WHEN now() <= last.ended_at + make_interval(secs => %(severity_seconds)s)
                    THEN least(login_limit.severity + 1, %(most_severe)s)
                ELSE 1
            END AS severity
        ) AS next
        CROSS JOIN LATERAL (
            SELECT array_agg(failure ORDER BY failure) AS failures, count(*) >= %(pair_failures)s AS are_full
            FROM unnest(login_limit.failures || now()) AS failure
            WHERE failure > greatest(now() - make_interval(secs => %(window_seconds)s), last.ended_at)
        ) AS recent
    )
    -- True where the row has no cooldown, or its end is before now(). After a lock wait, now() can be older than the
    -- end of a cooldown that others started and that is over: such an attempt is refused.
    WHERE (greatest(login_limit.cooled_down_at, login_limit.blocked_until) < now()) IS NOT FALSE
    RETURNING key
), wide (key, span) AS (
    SELECT %(network_key)s::bytea, make_interval(secs => %(window_seconds)s)
    UNION ALL
    SELECT %(username_key)s::bytea, make_interval(secs => %(username_window_seconds)s)
    WHERE NOT %(is_known_network)s
), counted AS (
    INSERT INTO login_limit (key, failures, expires_at)
    SELECT wide.key, ARRAY[now()], now() + make_interval(secs => %(memory_seconds)s)
    FROM pair
    CROSS JOIN wide
    ORDER BY wide.span
    ON CONFLICT (key) DO UPDATE
    SET (failures, blocked_until, expires_at) = (
        -- Full: blocked until the oldest of these failures leaves the window.
        SELECT
            array_agg(failure ORDER BY failure),
            CASE WHEN count(*) >= %(wide_failures)s THEN min(failure + span) END,
            excluded.expires_at
        FROM (
            SELECT failure, wide.span
            FROM wide
            CROSS JOIN unnest(login_limit.failures || now()) AS failure
            WHERE wide.key = login_limit.key
              AND failure > now() - wide.span
            ORDER BY failure DESC
            LIMIT %(wide_failures)s
        ) AS recent
    )
    WHERE (login_limit.blocked_until <= now()) IS NOT FALSE
    RETURNING key
)
SELECT
    (extract(epoch FROM now()) * 1000000)::bigint AS attempted_at,
    ARRAY(SELECT key FROM pair UNION ALL SELECT key FROM counted) AS keys,
    CASE WHEN (SELECT count(*) FROM counted) < (SELECT count(*) FROM wide) THEN
        greatest(1, seconds_blocked(ARRAY(
            SELECT %(pair_key)s::bytea
            UNION ALL
            SELECT key FROM wide
            EXCEPT
            (SELECT key FROM pair UNION ALL SELECT key FROM counted)
        )))
    END AS retry_after_seconds
