-- Ends one refresh token and says whose it was, and whether it was still good; no row when it is unknown.
DELETE FROM refresh_token
WHERE token_hash = %(token_hash)s
RETURNING
    principal_id, public_session_reference, extended_by_chain,
    expires_at IS NULL OR expires_at > now() AS live
