-- The second factor of a person, and the terms of use. Of the existing tables only `principal` is locked. The column
-- principal.two_factor_authentication, which nobody has set until now, says whether the person has a factor: the
-- statements that lock the person's row read it there.
-- The version of the terms that the person accepted last. 0: none.
ALTER TABLE principal ADD COLUMN accepted_sla_version integer NOT NULL DEFAULT 0;

CREATE TABLE second_factor (
    principal_id text PRIMARY KEY REFERENCES principal (id) ON DELETE CASCADE,
    -- The TOTP secret and its owner's uid, encrypted by a key that is not in the database.
    secret text NOT NULL,
    -- SHA-256 of the recovery code. NULL: the factor was imported and has none.
    recovery_hash bytea CHECK (octet_length(recovery_hash) = 32),
    -- The step of 30 seconds of the last accepted code, counted from the epoch.
    last_step bigint NOT NULL,
    -- The codes since the last right one.
    failures integer NOT NULL DEFAULT 0
);

CREATE TABLE sla (
    version integer PRIMARY KEY CHECK (version > 0),
    text text NOT NULL,
    published_at timestamptz NOT NULL DEFAULT now()
);

-- Ends a person's sessions except `kept_reference` (NULL: all), and returns how many. Delegations live on. Called by
-- statements that have changed the person's row, and so locked it: being VOLATILE, it sees the sessions that were
-- stored before that lock.
CREATE FUNCTION end_other_sessions(principal_id text, kept_reference uuid)
RETURNS bigint LANGUAGE sql VOLATILE AS $$
    WITH ended AS (
        DELETE FROM refresh_token
        WHERE refresh_token.principal_id = $1
          AND extended_by IS NULL
          AND public_session_reference IS DISTINCT FROM $2
        RETURNING token_hash
    )
    SELECT count(*) FROM ended
$$;
