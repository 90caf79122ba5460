-- In the database `catalog`, after catalog.sql.
ALTER TABLE products OWNER TO catalog;
ALTER TABLE customers OWNER TO catalog;
ALTER PUBLICATION catalog_pub OWNER TO catalog;
GRANT CREATE ON DATABASE catalog TO catalog;
GRANT USAGE, CREATE ON SCHEMA public TO catalog;
