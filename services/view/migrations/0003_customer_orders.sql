-- The orders of each customer, newest first.
CREATE TABLE customer_orders (
    order_id     uuid   PRIMARY KEY,
    customer_id  text   NOT NULL,
    version      bigint NOT NULL,
    status       text   NOT NULL,
    total_minor  bigint NOT NULL,
    currency     text   NOT NULL,
    requested_at bigint NOT NULL
);
CREATE INDEX customer_orders_newest
    ON customer_orders (customer_id, requested_at DESC, order_id DESC);
