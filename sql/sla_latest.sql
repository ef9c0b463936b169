-- The latest terms, for the command line; no row where none are published.
SELECT version, text, (extract(epoch FROM published_at) * 1000)::bigint AS published_at
FROM sla
ORDER BY version DESC
LIMIT 1
