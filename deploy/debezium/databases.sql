-- The databases of the shop, each with one owner: the catalog's is nobody in the choreography. For psql, as
-- databases cannot be made inside of a transaction.
SELECT 'CREATE DATABASE ' || name
FROM unnest(ARRAY['catalog', 'payments', 'view']) AS name
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = name) \gexec
