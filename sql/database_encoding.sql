-- How this database encodes text: names may hold any character, so that only one encoding will do.
SELECT current_setting('server_encoding') AS encoding
