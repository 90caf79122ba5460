-- The catalog: the system of record for products and customers. It belongs to nobody in the choreography:
-- whoever edits these rows (psql, a back office) changes the shop, through change data capture alone.
CREATE TABLE IF NOT EXISTS products (
    sku         text PRIMARY KEY,
    name        text NOT NULL,
    description text NOT NULL,
    price_minor bigint NOT NULL CHECK (price_minor >= 0),
    currency    text NOT NULL,
    picture     text NOT NULL,
    active      boolean NOT NULL DEFAULT true,
    updated_at  timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE IF NOT EXISTS customers (
    customer_id text PRIMARY KEY,
    name        text NOT NULL,
    email       text NOT NULL,
    active      boolean NOT NULL DEFAULT true,
    updated_at  timestamptz NOT NULL DEFAULT now()
);

-- How large a text may be, in bytes: the numbers of contracts::limits. What is larger could not travel with an order, nor
-- could its record. Each limit stands in the name of its constraint, so that an error tells it. Rows that were there before
-- are not looked at until they are changed.
DO $$
DECLARE
    bound record;
    constraint_name text;
BEGIN
    FOR bound IN SELECT * FROM (VALUES
        ('products', 'sku', 64),
        ('products', 'name', 400),
        ('products', 'description', 8000),
        ('products', 'currency', 3),
        ('products', 'picture', 100000),
        ('customers', 'customer_id', 64),
        ('customers', 'name', 400),
        ('customers', 'email', 254)
    ) AS bounds (table_name, column_name, bytes) LOOP
        constraint_name := format(
            '%s_%s_has_at_most_%s_bytes', bound.table_name, bound.column_name, bound.bytes);
        IF NOT EXISTS (SELECT FROM pg_constraint WHERE conname = constraint_name) THEN
            EXECUTE format('ALTER TABLE %I ADD CONSTRAINT %I CHECK (octet_length(%I) <= %s) NOT VALID',
                bound.table_name, constraint_name, bound.column_name, bound.bytes);
        END IF;
    END LOOP;
END $$;

-- What each captured table needs, also one that joins the publication later:
-- * The whole old row in the log (REPLICA IDENTITY FULL). PostgreSQL does not log a large column that an update leaves alone
--   otherwise, and Debezium would write a placeholder in its place. An update makes the log as much longer, which a catalog
--   can bear.
-- * TRUNCATE as the deletes that it is. Debezium has no key for it, and a topic that is compacted by key cannot say it. So
--   each row is deleted before, in the same transaction; always, whatever session_replication_role is, and whether or not
--   the user may delete.
CREATE OR REPLACE FUNCTION truncate_as_delete() RETURNS trigger LANGUAGE plpgsql
    SECURITY DEFINER SET search_path = pg_catalog AS $$
BEGIN
    EXECUTE format('DELETE FROM %I.%I', TG_TABLE_SCHEMA, TG_TABLE_NAME);
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION prepare_captured() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    captured regclass;
BEGIN
    FOR captured IN
        SELECT format('%I.%I', schemaname, tablename)::regclass FROM pg_publication_tables
        WHERE pubname = 'catalog_pub'
    LOOP
        IF NOT EXISTS (SELECT FROM pg_class WHERE oid = captured AND relreplident = 'f') THEN
            EXECUTE format('ALTER TABLE %s REPLICA IDENTITY FULL', captured);
        END IF;
        IF NOT EXISTS (
            SELECT FROM pg_trigger WHERE tgrelid = captured AND tgname = 'truncate_as_delete'
        ) THEN
            EXECUTE format('CREATE TRIGGER truncate_as_delete BEFORE TRUNCATE ON %s
                FOR EACH STATEMENT EXECUTE FUNCTION truncate_as_delete()', captured);
            EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER truncate_as_delete', captured);
        END IF;
        IF NOT has_table_privilege('debezium', captured, 'SELECT') THEN
            EXECUTE format('GRANT SELECT ON %s TO debezium', captured);
        END IF;
    END LOOP;
END $$;

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_publication WHERE pubname = 'catalog_pub') THEN
        CREATE PUBLICATION catalog_pub FOR TABLE products, customers;
    END IF;
END $$;

-- A table that has left the publication. What it missed is made up for by `shop cdc resync`.
DO $$
DECLARE
    missing text;
BEGIN
    FOR missing IN SELECT name FROM unnest(ARRAY['products', 'customers']) AS name
        WHERE NOT EXISTS (
            SELECT FROM pg_publication_tables
            WHERE pubname = 'catalog_pub' AND schemaname = 'public' AND tablename = name
        )
    LOOP
        EXECUTE format('ALTER PUBLICATION catalog_pub ADD TABLE %I', missing);
    END LOOP;
END $$;

SELECT prepare_captured();

-- The same for a table that joins later.
CREATE OR REPLACE FUNCTION prepare_joined() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM prepare_captured();
END $$;

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_event_trigger WHERE evtname = 'prepare_joined') THEN
        CREATE EVENT TRIGGER prepare_joined ON ddl_command_end
            WHEN TAG IN ('CREATE PUBLICATION', 'ALTER PUBLICATION', 'CREATE TABLE')
            EXECUTE FUNCTION prepare_joined();
    END IF;
END $$;

-- A slot that PostgreSQL has given up can never be read again. The connector makes another one, and reads the tables.
SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots
WHERE slot_name = 'catalog' AND wal_status = 'lost' AND NOT active;

-- Every price is a multiple of 10, so that no demo order adds up to an amount ending in .13,
-- which the bank simulator declines.
INSERT INTO products (sku, name, description, price_minor, currency, picture) VALUES
    ('TEA',    'Darjeeling First Flush', 'Picked in March, light as morning. 100 g.',            890, 'EUR', '🍵'),
    ('MUG',    'Starling Mug',           'Stoneware, 350 ml, a flock in flight around the rim.', 1450, 'EUR', '☕'),
    ('KETTLE', 'Copper Kettle',          'Sings when it is ready. 1.2 litres.',                  7900, 'EUR', '🫖'),
    ('LAST',   'Last Nesting Box',       'The last one of its kind. There is exactly one.',      3200, 'EUR', '🪺'),
    ('GONE',   'Winter Almanac',         'Sold out, and greatly missed.',                        1990, 'EUR', '📕'),
    ('HONEY',  'Heather Honey',          'From hives on the moor. 250 g.',                        760, 'EUR', '🍯'),
    ('SCONE',  'Sultana Scones',         'Six of them, for sharing or not.',                      540, 'EUR', '🥐'),
    ('LAMP',   'Dusk Lamp',              'Glows in the colour of the hour after sunset.',        4900, 'EUR', '🪔'),
    ('SCARF',  'Feather Scarf',          'Merino, as light as it sounds.',                       3950, 'EUR', '🧣'),
    ('SEEDS',  'Meadow Seeds',           'Forty wild flowers; the birds will thank you.',         420, 'EUR', '🌻'),
    ('BINOC',  'Field Glasses',          '8 x 32, for watching what moves as one.',             12900, 'EUR', '🔭')
ON CONFLICT DO NOTHING;

INSERT INTO customers (customer_id, name, email) VALUES
    ('ada',    'Ada Lovelace',   'ada@example.org'),
    ('grace',  'Grace Hopper',   'grace@example.org'),
    ('alan',   'Alan Turing',    'alan@example.org'),
    ('declan', 'Declan Decline', 'declan@example.org')
ON CONFLICT DO NOTHING;
