-- How many guesses were made lately: by one network at one name (a pair), by one network, and at one name. The key is
-- a digest of these, so that a row's size does not depend on the length of the username, and a password that was typed
-- as a username is not stored.
CREATE TABLE login_limit (
    key bytea PRIMARY KEY CHECK (octet_length(key) = 32),
    -- The times of the guesses that count, oldest first. A pair's fifth guess starts a cooldown.
    failures timestamptz[] NOT NULL DEFAULT '{}' CHECK (cardinality(failures) <= 100),
    -- Of a pair's last cooldown that is over: how severe it was, and when it ended.
    severity integer NOT NULL DEFAULT 0 CHECK (severity BETWEEN 0 AND 5),
    cooled_down_at timestamptz,
    expires_at timestamptz NOT NULL
);

-- Finds what has expired.
CREATE INDEX login_limit_expires_at ON login_limit (expires_at);
