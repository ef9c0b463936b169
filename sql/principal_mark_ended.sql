-- Ends the extensions that are not stored and were made up to now. Run after the transaction that ended all other tokens:
-- an extension that began before that one was seen has an earlier iat, and one that begins later is refused.
UPDATE principal
SET tokens_ended_at = clock_timestamp()
WHERE id = %(id)s
