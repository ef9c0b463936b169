-- The table of applied migrations. Only run under migration_lock: IF NOT EXISTS alone can collide.
CREATE TABLE IF NOT EXISTS schema_migration (
    version integer PRIMARY KEY,
    name text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)
