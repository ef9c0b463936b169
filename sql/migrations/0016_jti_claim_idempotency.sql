-- The SHA-256 of the Idempotency-Key of the claim, and the uid of its principal. NULL: claimed without a key.
ALTER TABLE jti_claim
    ADD COLUMN idempotency_key_hash bytea,
    ADD COLUMN claimed_by bigint;
