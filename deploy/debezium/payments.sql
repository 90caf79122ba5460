-- What the outbox connector needs in the payments database, before payments has made its tables.
--
-- Publication and slot come first, so that a row written before the connector runs is still delivered. The
-- outbox table belongs to payments, whose migration makes it: the event trigger publishes it in the same
-- transaction, so there is no moment in which a row could be written and not be published.
-- Its rows are inserted and deleted, never updated, so it needs no REPLICA IDENTITY FULL as the catalog's do:
-- an insert logs every column, and the router passes deletions by.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_publication WHERE pubname = 'outbox_pub') THEN
        CREATE PUBLICATION outbox_pub;
    END IF;
END $$;

-- It does so with our rights: payments, whose migration makes the table, need not own the publication.
CREATE OR REPLACE FUNCTION publish_outbox() RETURNS event_trigger LANGUAGE plpgsql
    SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    IF EXISTS (
        SELECT FROM pg_event_trigger_ddl_commands()
        WHERE command_tag = 'CREATE TABLE' AND object_identity = 'public.outbox'
    ) AND NOT EXISTS (
        SELECT FROM pg_publication_tables WHERE pubname = 'outbox_pub' AND tablename = 'outbox'
    ) THEN
        ALTER PUBLICATION outbox_pub ADD TABLE public.outbox;
        GRANT SELECT ON public.outbox TO debezium;
    END IF;
END $$;

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_event_trigger WHERE evtname = 'publish_outbox') THEN
        CREATE EVENT TRIGGER publish_outbox ON ddl_command_end
            WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION publish_outbox();
    END IF;
END $$;

-- A table that was there before the trigger, such as one of a restored database.
DO $$
BEGIN
    IF to_regclass('public.outbox') IS NOT NULL AND NOT EXISTS (
        SELECT FROM pg_publication_tables WHERE pubname = 'outbox_pub' AND tablename = 'outbox'
    ) THEN
        ALTER PUBLICATION outbox_pub ADD TABLE public.outbox;
        GRANT SELECT ON public.outbox TO debezium;
    END IF;
END $$;

-- One that PostgreSQL has given up can never be read again. Payments sends again what it lost.
SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots
WHERE slot_name = 'outbox' AND wal_status = 'lost' AND NOT active;

SELECT pg_create_logical_replication_slot('outbox', 'pgoutput')
WHERE NOT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = 'outbox');
