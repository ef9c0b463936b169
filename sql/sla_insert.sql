-- Publishes the next version of the terms. If two are published at once, the primary key refuses one.
INSERT INTO sla (version, text)
SELECT coalesce(max(version), 0) + 1, %(text)s
FROM sla
RETURNING version
