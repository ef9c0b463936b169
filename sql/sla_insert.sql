-- Publishes the next version of the terms. Of two that are published at once, one fails by the primary key.
INSERT INTO sla (version, text)
SELECT coalesce(max(version), 0) + 1, %(text)s
FROM sla
RETURNING version
