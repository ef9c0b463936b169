-- Sets the timeouts of every later statement of this connection. No row, and nothing set, behind PgBouncer: it reports
-- process ids of its own, and shares its sessions among clients.
SELECT
    set_config('statement_timeout', %(milliseconds)s, false),
    set_config('lock_timeout', %(milliseconds)s, false),
    set_config('plan_cache_mode', 'force_generic_plan', false), -- planning costs more than these statements
    -- PostgreSQL keeps a plan that it made for a small table. A sequential scan would be slow once the table has grown.
    set_config('enable_seqscan', 'off', false)
WHERE pg_backend_pid() = %(backend_pid)s
