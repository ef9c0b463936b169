-- What decides whether a server suits us: its encoding (names may hold any character), whether it takes writes, what
-- time it is there, and how many connections it has for everybody who is not a superuser, or for us where that is less.
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
