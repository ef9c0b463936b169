-- Facts for doctor and migrate: version, encoding (must be UTF8), whether the server is read-only, its clock, and how
-- many connections this role may have (superusers' reserved ones are not counted). `wrong_settings` change answers, and
-- connection_configure could not set them.
SELECT
    current_setting('server_version') AS version,
    current_setting('server_encoding') AS encoding,
    current_setting('transaction_read_only')::boolean AS read_only,
    (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS ms_since_epoch,
    least(
        current_setting('max_connections')::integer
            - current_setting('superuser_reserved_connections')::integer
            - coalesce(current_setting('reserved_connections', true), '0')::integer,
        (SELECT nullif(rolconnlimit, -1) FROM pg_roles WHERE rolname = session_user),
        (SELECT nullif(datconnlimit, -1) FROM pg_database WHERE datname = current_database())
    ) AS connections,
    ARRAY(
        SELECT name || ' = ' || setting
        FROM pg_settings
        WHERE CASE
            WHEN name = 'default_transaction_isolation' THEN setting <> 'read committed'
            WHEN name = 'session_replication_role' THEN setting <> 'origin' -- else no foreign key ends a delegation
            WHEN name = 'standard_conforming_strings' THEN setting <> 'on'
            WHEN name = 'synchronous_commit' THEN setting = 'off'
            WHEN name IN (
                'statement_timeout', 'lock_timeout', 'transaction_timeout',
                'idle_in_transaction_session_timeout', 'idle_session_timeout'
            ) THEN setting::integer BETWEEN 1 AND 1499
            ELSE false
        END
        ORDER BY name
    ) AS wrong_settings
