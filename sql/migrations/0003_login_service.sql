-- The applications people log in to: where they return to, and how long their refresh tokens live.
CREATE TABLE login_service (
    name text PRIMARY KEY CHECK (char_length(name) BETWEEN 1 AND 255),
    endpoint text NOT NULL CHECK (endpoint ~* '^https?://[^/]'),
    mode text NOT NULL CHECK (mode IN ('WEB', 'APPLICATION')),
    -- NULL: its refresh tokens do not expire by themselves.
    refresh_token_ttl_seconds bigint CHECK (refresh_token_ttl_seconds BETWEEN 1 AND 3155760000)
);
