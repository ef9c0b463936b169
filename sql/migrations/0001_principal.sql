-- Everyone and everything that may hold a token: people, services and providers.
CREATE TABLE principal (
    id text PRIMARY KEY,
    -- The number that the `uid` claim carries.
    uid bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    role text NOT NULL,
    principal_type text NOT NULL,
    first_names text CHECK (char_length(first_names) BETWEEN 1 AND 100),
    last_name text CHECK (char_length(last_name) BETWEEN 1 AND 100),
    email text CHECK (char_length(email) BETWEEN 1 AND 255),
    org_id text CHECK (char_length(org_id) BETWEEN 1 AND 255),
    -- NULL: cannot log in by password.
    password_hash text,
    -- Grows with each new password, so that a login that verified the previous password is refused.
    password_generation integer NOT NULL DEFAULT 0,
    two_factor_authentication boolean NOT NULL DEFAULT false,
    service_license_agreement boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    -- NULL: not disabled.
    disabled_at timestamptz,

    CONSTRAINT id_is_sound CHECK (
        char_length(id) BETWEEN 1 AND 255 AND id !~ '[\x01-\x1f\x7f-\x9f]' AND id NOT LIKE '\_\_%'
    ),
    CONSTRAINT role_is_known CHECK (
        role IN ('GUEST', 'USER', 'ADMIN', 'SERVICE', 'THIRD_PARTY_APP', 'PROVIDER')
    ),
    CONSTRAINT type_is_known CHECK (principal_type IN ('password', 'wayf', 'service', 'provider')),
    CONSTRAINT id_tells_services CHECK (
        (id LIKE '\_%') = (principal_type = 'service') AND (role = 'SERVICE') = (principal_type = 'service')
    ),
    CONSTRAINT id_tells_providers CHECK (
        (id LIKE '#P\_%') = (principal_type = 'provider') AND (role = 'PROVIDER') = (principal_type = 'provider')
    ),
    CONSTRAINT people_have_names CHECK (
        (principal_type IN ('password', 'wayf')) = (first_names IS NOT NULL AND last_name IS NOT NULL)
    ),
    CONSTRAINT only_people_have_passwords CHECK (password_hash IS NULL OR principal_type = 'password')
);
