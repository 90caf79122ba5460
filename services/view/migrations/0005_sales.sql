-- What confirmed orders have sold. Revenue is numeric: a sum without a bound.
CREATE TABLE sales (
    sku           text    NOT NULL,
    currency      text    NOT NULL,
    orders        bigint  NOT NULL,
    quantity      bigint  NOT NULL,
    revenue_minor numeric NOT NULL,
    PRIMARY KEY (sku, currency)
);
