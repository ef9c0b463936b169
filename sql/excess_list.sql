-- People who have more stored sessions (`extended_by` NULL), or more delegations of one service, than the bound `kept`.
SELECT principal_id, NULL AS extended_by, %(sessions)s::integer AS kept
FROM refresh_token
WHERE extended_by IS NULL
GROUP BY principal_id
HAVING count(*) > %(sessions)s
UNION ALL
SELECT principal_id, extended_by, %(delegations)s
FROM refresh_token
WHERE extended_by IS NOT NULL
GROUP BY extended_by, principal_id
HAVING count(*) > %(delegations)s
