-- Two sources meet here, each in a table and with a guard of its own, so that neither order of
-- arrival matters. A product that is gone keeps its row, empty, and its stock.
CREATE TABLE products (
    sku           text    PRIMARY KEY,
    product       jsonb,
    log_partition integer NOT NULL,
    log_offset    bigint  NOT NULL
);
CREATE TABLE stock (
    sku       text   PRIMARY KEY,
    on_hand   bigint NOT NULL,
    reserved  bigint NOT NULL,
    available bigint NOT NULL,
    version   bigint NOT NULL
);
