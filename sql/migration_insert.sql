-- Records a migration as applied, in the transaction that applied it.
INSERT INTO schema_migration (version, name)
VALUES (%(version)s, %(name)s)
