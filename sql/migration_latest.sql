-- The newest migration that has been applied; an error before the first one.
SELECT max(version) AS version
FROM schema_migration
