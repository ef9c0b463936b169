-- Spends a one-time token. Of any number of callers, on any number of servers, one gets the row.
INSERT INTO jti_claim (jti)
VALUES (%(jti)s)
ON CONFLICT (jti) DO NOTHING
RETURNING jti
