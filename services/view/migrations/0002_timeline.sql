-- Every transition of every order, and where it stands in the log. It is also the view's memory:
-- the fingerprint tells a repeated record from one that contradicts what is known.
CREATE TABLE timeline (
    order_id      uuid    NOT NULL,
    version       bigint  NOT NULL,
    transition    text    NOT NULL,
    status        text    NOT NULL,
    topic         text    NOT NULL,
    log_partition integer NOT NULL,
    log_offset    bigint  NOT NULL,
    writer        text    NOT NULL,
    lineage       text,
    causation_id  text,
    occurred_at   bigint  NOT NULL,
    latency_ms    bigint  NOT NULL,
    fingerprint   uuid    NOT NULL,
    PRIMARY KEY (order_id, version)
);
