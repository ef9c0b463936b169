-- Whether the sequence of principal.uid is behind the table, as after a logical restore. `repair` has the statement
-- that repairs it.
SELECT
    sequence.last_value < principal.uid
        OR (sequence.last_value = principal.uid AND NOT sequence.is_called) AS is_behind,
    'the sequence principal_uid_seq is behind: SELECT setval(''principal_uid_seq'', '
        || principal.uid || ')' AS repair
FROM principal_uid_seq AS sequence
CROSS JOIN (SELECT coalesce(max(uid), 0) AS uid FROM principal) AS principal
