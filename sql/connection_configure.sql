-- Bounds every later statement of this connection. No row where the session is not ours alone: PgBouncer, which
-- hands out process ids of its own, lends it for one transaction only.
SELECT
    set_config('statement_timeout', %(milliseconds)s, false),
    set_config('lock_timeout', %(milliseconds)s, false),
    set_config('plan_cache_mode', 'force_generic_plan', false) -- planning costs more than these statements
WHERE pg_backend_pid() = %(backend_pid)s
