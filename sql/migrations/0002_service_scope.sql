-- The policy of token extension: the scopes each service may ask for on a user's behalf.
CREATE TABLE service_scope (
    service_id text NOT NULL REFERENCES principal (id) ON DELETE CASCADE,
    scope text NOT NULL CHECK (char_length(scope) BETWEEN 1 AND 1024),
    PRIMARY KEY (service_id, scope),
    CONSTRAINT only_services_have_a_policy CHECK (service_id LIKE '\_%')
);
