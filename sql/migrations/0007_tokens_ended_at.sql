-- An access token that names no stored refresh token has ended if it was issued at or before this time.
ALTER TABLE principal ADD COLUMN tokens_ended_at timestamptz NOT NULL DEFAULT '-infinity';

-- For a new principal: access tokens of a deleted principal with the same id have ended.
ALTER TABLE principal ALTER COLUMN tokens_ended_at SET DEFAULT now() - interval '1 second';
