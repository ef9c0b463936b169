-- Bounds each wait for a lock: requests wait behind a migration that waits for a table. It is tried again later.
SELECT set_config('lock_timeout', '500ms', true)
