"""UCloud's User Authentication API: password logins, refresh tokens, sessions, one-time tokens, extension."""
