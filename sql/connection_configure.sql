-- Sets the settings that the later statements depend on, whatever the database, the role or the server's files set.
-- Commands have no timeouts (0 milliseconds), and may read whole tables. Behind PgBouncer this sets nothing and returns
-- no row: PgBouncer reports process ids of its own, and shares its sessions among clients.
SELECT
    set_config('default_transaction_isolation', 'read committed', false), -- the statements decide races by row locks
    set_config('standard_conforming_strings', 'on', false), -- otherwise migrations would lose their backslashes
    -- If it is off, a crash could undo a claim that was acknowledged.
    CASE WHEN current_setting('synchronous_commit') = 'off' THEN set_config('synchronous_commit', 'on', false) END,
    set_config('statement_timeout', %(milliseconds)s, false),
    set_config('lock_timeout', %(milliseconds)s, false),
    set_config('idle_in_transaction_session_timeout', '0', false),
    set_config('idle_session_timeout', '0', false),
    CASE WHEN current_setting('transaction_timeout', true) <> '0' THEN -- since PostgreSQL 17
        set_config('transaction_timeout', '0', false)
    END,
    set_config('plan_cache_mode', 'force_generic_plan', false), -- planning costs more than these statements
    set_config('jit', 'off', false), -- compiling costs more, too
    set_config('enable_indexscan', 'on', false),
    set_config('enable_bitmapscan', 'on', false),
    set_config('enable_nestloop', 'on', false),
    -- PostgreSQL keeps a plan that it made for a small table. A sequential scan would be slow once the table has grown.
    set_config('enable_seqscan', CASE %(milliseconds)s WHEN '0' THEN 'on' ELSE 'off' END, false)
WHERE pg_backend_pid() = %(backend_pid)s
