-- Who may order, by name alone: what else the catalog knows of a person is not for every reader. A customer that is gone,
-- or cannot be read, keeps its row, empty.
CREATE TABLE customers (
    customer_id   text    PRIMARY KEY,
    customer      jsonb,
    log_partition integer NOT NULL,
    log_offset    bigint  NOT NULL
);
