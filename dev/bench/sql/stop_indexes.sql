-- Inserts leave the indexes as they are until REINDEX: to build them afterwards takes a fraction of the time.
UPDATE pg_index SET indisready = false WHERE indrelid IN ('refresh_token'::regclass, 'jti_claim'::regclass)
