-- The keys of the limits on a guess, and the client's network: an IPv4 address, or an IPv6 /64, whose guesses are
-- counted together (NULL: no address is known). A key is a hash, since a username may be a password in the wrong field.
-- The keys must not change between releases, or running cooldowns would end.
CREATE FUNCTION limit_keys(address inet, username text)
RETURNS TABLE (network inet, pair_key bytea, network_key bytea, username_key bytea) LANGUAGE sql STABLE AS $$
    SELECT
        client.network,
        sha256(E'pair\\000'::bytea || texts.network || E'\\000'::bytea || texts.username),
        sha256(E'network\\000'::bytea || texts.network),
        sha256(E'username\\000'::bytea || texts.username)
    FROM (SELECT network(set_masklen($1, CASE family($1) WHEN 4 THEN 32 ELSE 64 END))::inet) AS client (network)
    CROSS JOIN LATERAL (
        SELECT convert_to(coalesce(text(client.network), ''), 'UTF8'), convert_to($2, 'UTF8')
    ) AS texts (network, username)
$$;

-- For how many seconds the limits with these keys still block guesses; NULL: no limit blocks. Being VOLATILE, it also
-- sees what was committed after the calling statement began.
CREATE FUNCTION seconds_blocked(keys bytea[]) RETURNS integer LANGUAGE sql VOLATILE AS $$
    SELECT ceil(extract(epoch FROM max(blocked_until) - now()))::integer
    FROM login_limit
    WHERE key = ANY ($1)
      AND blocked_until > now()
$$;
