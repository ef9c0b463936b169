-- Access tokens that name no stored refresh token, and were issued until then, have ended.
ALTER TABLE principal ADD COLUMN tokens_ended_at timestamptz NOT NULL DEFAULT '-infinity';
