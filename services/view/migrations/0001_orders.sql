-- The orders as they are now. Times are milliseconds since 1970, as in the events.
CREATE TABLE orders (
    order_id     uuid   PRIMARY KEY,
    version      bigint NOT NULL,
    status       text   NOT NULL,
    customer_id  text   NOT NULL,
    lines        jsonb  NOT NULL,
    total_minor  bigint NOT NULL,
    currency     text   NOT NULL,
    payment      jsonb,
    reasons      jsonb  NOT NULL,
    requested_at bigint NOT NULL,
    deadline     bigint NOT NULL
);
