-- Ends the extensions without a refresh token that were issued up to now. Run after the commit of the change: an
-- extension that began before the commit has an earlier iat, and one that begins later sees the change.
UPDATE principal
SET tokens_ended_at = clock_timestamp()
WHERE id = %(id)s
