-- Facts for doctor and migrate: version, encoding (must be UTF8), whether the server is read-only, its clock, and how
-- many connections this role may have (superusers' reserved ones are not counted).
SELECT
    current_setting('server_version') AS version,
    current_setting('server_encoding') AS encoding,
    current_setting('transaction_read_only')::boolean AS read_only,
    extract(epoch FROM clock_timestamp())::double precision AS seconds_since_epoch,
    least(
        current_setting('max_connections')::integer
            - current_setting('superuser_reserved_connections')::integer
            - coalesce(current_setting('reserved_connections', true), '0')::integer,
        (SELECT nullif(rolconnlimit, -1) FROM pg_roles WHERE rolname = current_user),
        (SELECT nullif(datconnlimit, -1) FROM pg_database WHERE datname = current_database())
    ) AS connections
