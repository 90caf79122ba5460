-- In the databases `payments` and `view`, each of which belongs to the service of its name.
SELECT format('GRANT USAGE, CREATE ON SCHEMA public TO %I', current_database()) \gexec
-- So that all who may act as the service can put its outbox back into the publication.
SELECT format('ALTER PUBLICATION %I OWNER TO %I', pubname, current_database()) FROM pg_publication \gexec
