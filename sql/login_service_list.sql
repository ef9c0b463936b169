-- All login services.
SELECT name, endpoint, mode, refresh_token_ttl_seconds, idle_timeout_seconds
FROM login_service
ORDER BY name
