-- The migrations that have been applied, oldest first.
SELECT version
FROM schema_migration
ORDER BY version
