-- When a limit that was reached lets logins through again; NULL: not reached. One read of it refuses a login.
-- Adding it rewrites no row, and the previous release works on without it.
ALTER TABLE login_limit ADD COLUMN blocked_until timestamptz;
