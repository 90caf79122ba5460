-- The order as it was after each of its transitions, since this table was made.
CREATE TABLE order_versions (
    order_id    uuid   NOT NULL,
    version     bigint NOT NULL,
    occurred_at bigint NOT NULL,
    body        jsonb  NOT NULL,
    PRIMARY KEY (order_id, version)
);
