-- The principal of an access token, if the grant behind the token is live, else no row. The reference is the
-- publicSessionReference of the stored token behind it, or NULL where there is none; issued_at is `iat`, in seconds
-- since the epoch.
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
