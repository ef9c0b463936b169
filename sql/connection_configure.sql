-- Bounds every later statement of this connection. No row where the session is not ours alone: PgBouncer, which
-- hands out process ids of its own, lends it for one transaction only.
SELECT
    set_config('statement_timeout', %(milliseconds)s, false),
    set_config('lock_timeout', %(milliseconds)s, false),
    set_config('plan_cache_mode', 'force_generic_plan', false), -- planning costs more than these statements
    -- PostgreSQL keeps the plan that it made for a small table, which would read the whole of it after it has grown.
    set_config('enable_seqscan', 'off', false)
WHERE pg_backend_pid() = %(backend_pid)s
