-- After how many seconds without a refresh a session of this login service expires. NULL: never.
ALTER TABLE login_service ADD COLUMN idle_timeout_seconds bigint
    CHECK (idle_timeout_seconds BETWEEN 600 AND 3155760000);
