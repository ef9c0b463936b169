-- Access tokens that name no stored refresh token, and were issued until then, have ended.
ALTER TABLE principal ADD COLUMN tokens_ended_at timestamptz NOT NULL DEFAULT '-infinity';

-- A new principal's tokens begin with it: those of a deleted one with the same id and number have ended.
ALTER TABLE principal ALTER COLUMN tokens_ended_at SET DEFAULT now() - interval '1 second';
