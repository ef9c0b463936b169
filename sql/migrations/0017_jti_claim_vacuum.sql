-- Autovacuum of the claims after 1 % of them were deleted, with their indexes each time. By default it waits for 20 %, and
-- leaves the index entries of less than 2 %. Each login reads past these entries to find the next claims to delete.
ALTER TABLE jti_claim SET (autovacuum_vacuum_scale_factor = 0.01, vacuum_index_cleanup = on);
