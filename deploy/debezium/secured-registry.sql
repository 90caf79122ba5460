-- In containers the registry keeps its schemas in a database of its own: its role, which is no other's. For psql, with
-- --set=secrets=<the folder with the passwords>.
SELECT 'CREATE ROLE registry LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'registry') \gexec
\set password `cat :'secrets'/postgres.registry`
ALTER ROLE registry PASSWORD :'password';
\unset password
ALTER DATABASE registry OWNER TO registry;
REVOKE CONNECT, TEMPORARY ON DATABASE registry FROM PUBLIC;
