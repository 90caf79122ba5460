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

-- PostgreSQL does not log a large column that an update leaves alone, unless the whole old row is logged:
-- Debezium would write a placeholder in its place. So every captured table logs its old rows. An update of a
-- row makes the log as much longer, which a catalog can bear.
ALTER TABLE products REPLICA IDENTITY FULL;
ALTER TABLE customers REPLICA IDENTITY FULL;

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_publication WHERE pubname = 'catalog_pub') THEN
        CREATE PUBLICATION catalog_pub FOR TABLE products, customers;
    END IF;
END $$;

-- A table that somebody has added to the publication by hand.
DO $$
DECLARE
    captured text;
BEGIN
    SELECT string_agg(tablename, ', ') INTO captured FROM pg_publication_tables
    WHERE pubname = 'catalog_pub' AND NOT EXISTS (
        SELECT FROM pg_class
        WHERE oid = format('%I.%I', schemaname, tablename)::regclass AND relreplident = 'f'
    );
    IF captured IS NOT NULL THEN
        RAISE EXCEPTION 'captured without REPLICA IDENTITY FULL: %', captured
            USING HINT = 'ALTER TABLE ... REPLICA IDENTITY FULL, or take the table out of catalog_pub';
    END IF;
END $$;

GRANT SELECT ON products, customers TO debezium;

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
