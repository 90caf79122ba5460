-- The roles of the secured shop: one for each service and each connector that uses a database. For psql, after
-- roles.sql and databases.sql, with --set=secrets=<the folder with their passwords>.
SELECT format('CREATE ROLE %I LOGIN', name)
FROM unnest(ARRAY['payments', 'view', 'catalog-connector', 'outbox-connector', 'operator']) AS name
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec
-- Owns the tables of the catalog; a back office would have a login in it.
SELECT 'CREATE ROLE catalog NOLOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'catalog') \gexec

-- What Debezium may read is granted to `debezium`. Its two logins are in it, and each may enter one database.
ALTER ROLE debezium NOLOGIN NOREPLICATION PASSWORD NULL;
ALTER ROLE "catalog-connector" REPLICATION;
ALTER ROLE "outbox-connector" REPLICATION;
GRANT debezium TO "catalog-connector", "outbox-connector";

-- The person at `./shop`: sees all, mends the capture and edits the catalog. It may drop a slot that is lost.
ALTER ROLE operator REPLICATION;
GRANT pg_read_all_data, pg_monitor, payments, view, catalog TO operator;

\set password `cat :'secrets'/postgres.payments`
ALTER ROLE payments PASSWORD :'password';
\set password `cat :'secrets'/postgres.view`
ALTER ROLE view PASSWORD :'password';
\set password `cat :'secrets'/postgres.catalog-connector`
ALTER ROLE "catalog-connector" PASSWORD :'password';
\set password `cat :'secrets'/postgres.outbox-connector`
ALTER ROLE "outbox-connector" PASSWORD :'password';
\set password `cat :'secrets'/postgres.operator`
ALTER ROLE operator PASSWORD :'password';
\unset password

REVOKE CONNECT, TEMPORARY ON DATABASE catalog, payments, view, postgres FROM PUBLIC;
GRANT CONNECT ON DATABASE catalog TO "catalog-connector", operator;
GRANT CONNECT ON DATABASE payments TO payments, "outbox-connector", operator;
GRANT CONNECT ON DATABASE view TO view, operator;
-- The view makes a schema for each view that is rebuilt.
GRANT CREATE ON DATABASE view TO view;
-- It answers questions as this role, which may write nothing. It may enter no other database.
GRANT pg_read_all_data TO view;
