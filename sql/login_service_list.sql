-- All login services.
SELECT name, endpoint, mode, refresh_token_ttl_seconds
FROM login_service
ORDER BY name
