-- The user that Debezium reads with.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'debezium') THEN
        CREATE ROLE debezium LOGIN REPLICATION PASSWORD 'debezium';
    END IF;
END $$;
