-- Until when a reached limit blocks logins; NULL: not reached. A login is refused after one read of this column.
-- Adding it rewrites no row, and the previous release works on without it.
ALTER TABLE login_limit ADD COLUMN blocked_until timestamptz;
