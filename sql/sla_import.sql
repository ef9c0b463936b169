-- Notes which version of the terms an imported person accepted. No row where that version is not published.
UPDATE principal
SET accepted_sla_version = %(version)s
WHERE id = %(id)s
  AND (%(version)s = 0 OR EXISTS (SELECT FROM sla WHERE sla.version = %(version)s))
RETURNING id
