-- The one-time tokens that have been spent. The primary key is what makes a claim exactly-once.
CREATE TABLE jti_claim (
    jti text PRIMARY KEY CHECK (char_length(jti) BETWEEN 1 AND 255),
    claimed_at timestamptz NOT NULL DEFAULT now()
);

-- Finds what has expired.
CREATE INDEX jti_claim_claimed_at ON jti_claim (claimed_at);
