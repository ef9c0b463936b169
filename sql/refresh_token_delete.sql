-- Ends one refresh token and says whether it was still good; no row when it is unknown.
DELETE FROM refresh_token
WHERE token_hash = %(token_hash)s
RETURNING expires_at IS NULL OR expires_at > now() AS live
