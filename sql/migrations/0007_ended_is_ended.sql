-- What an access token needs so that it is honoured only as long as the grant behind it lives.

-- Access tokens that name no stored refresh token, and were issued until then, have ended.
ALTER TABLE principal ADD COLUMN tokens_ended_at timestamptz NOT NULL DEFAULT '-infinity';

-- The delegation from whose access token this delegation was made; it ends with that one. NOT VALID spares the table a
-- scan under lock; every row that is there has NULL.
ALTER TABLE refresh_token ADD COLUMN made_from bytea;
ALTER TABLE refresh_token ADD CONSTRAINT refresh_token_made_from FOREIGN KEY (made_from)
    REFERENCES refresh_token (token_hash) ON DELETE CASCADE NOT VALID;

-- Finds the delegations that end with another one.
CREATE INDEX refresh_token_made_from ON refresh_token (made_from) WHERE made_from IS NOT NULL;

-- The principal of an access token whose grant lives, else no row. The reference is the publicSessionReference of the
-- stored token behind it, or NULL where there is none; issued_at is `iat`, in seconds since the epoch.
CREATE FUNCTION live_principal(principal_id text, uid bigint, reference uuid, issued_at bigint)
RETURNS SETOF principal LANGUAGE sql STABLE AS $$
    SELECT principal.*
    FROM principal
    WHERE principal.id = $1
      AND principal.uid = coalesce($2, principal.uid)
      AND principal.disabled_at IS NULL
      AND CASE
          WHEN $3 IS NULL THEN to_timestamp($4) > date_trunc('second', principal.tokens_ended_at)
          ELSE EXISTS (
              SELECT
              FROM refresh_token
              WHERE public_session_reference = $3
                AND refresh_token.principal_id = $1
                AND (expires_at IS NULL OR expires_at > now())
          )
      END
$$;
