-- The database of payments. What events say about time is kept as they say it, in milliseconds
-- since 1970; what drives the work (due_at, created_at) is by this database's clock, the one clock
-- that all instances share.

-- How far `orders` has been applied, and who may apply it. The offset is the inbox as well: it
-- moves in the same transaction as what its records did, so a record below it has been handled,
-- once.
CREATE TABLE consumer_offsets (
    topic       text   NOT NULL,
    partition   int    NOT NULL,
    next_offset bigint NOT NULL,
    -- Raised by each instance that is given the partition; a write with an older epoch is refused.
    epoch       bigint NOT NULL,
    PRIMARY KEY (topic, partition)
);

CREATE TABLE payments (
    order_id      uuid        PRIMARY KEY,
    status        text        NOT NULL
                  CHECK (status IN ('intent', 'captured', 'declined', 'refund_due', 'refunded')),
    -- Declined, but the bank may hold a charge: it is voided until the bank says so.
    void_due      boolean     NOT NULL CHECK (NOT void_due OR status = 'declined'),
    -- The bank's id of the capture.
    reference     text,
    -- The whole order as payments last knew it, the base of its next transition. JSON, so that
    -- people can read it and a restart needs no schema registry; not jsonb, which refuses some
    -- texts that Avro has.
    "order"       json        NOT NULL,
    deadline_ms   bigint      NOT NULL,
    -- The record on `orders` that gave payments the baton; what is written next continues its
    -- thread.
    causationid   text,
    correlationid text,
    traceparent   text,
    lineage       text,
    -- Calls to the bank for the task at hand, and how the last one failed.
    attempts      int         NOT NULL,
    last_error    text,
    -- When the bank is to be called next. To claim a payment is to move this into the future and to
    -- leave one's token: if the claimant dies, the payment becomes due again, and its token is
    -- worth nothing.
    due_at        timestamptz
                  CHECK ((due_at IS NOT NULL) = (status IN ('intent', 'refund_due') OR void_due)),
    lease_token   uuid,
    created_at    timestamptz NOT NULL DEFAULT now(),
    updated_at    timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX payments_due ON payments (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX payments_deadline ON payments (deadline_ms) WHERE status = 'intent';

-- Double entry: debits are positive, credits negative, and each booking sums up to zero. An order
-- is captured, refunded and voided at most once each.
CREATE TABLE ledger_entries (
    entry_id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    order_id     uuid   NOT NULL REFERENCES payments,
    kind         text   NOT NULL CHECK (kind IN ('capture', 'refund', 'void')),
    account      text   NOT NULL CHECK (account IN ('bank', 'sales')),
    amount_minor bigint NOT NULL,
    currency     text   NOT NULL,
    at_ms        bigint NOT NULL,
    UNIQUE (order_id, kind, account)
);

CREATE FUNCTION check_balance() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM ledger_entries WHERE order_id = NEW.order_id AND kind = NEW.kind
        GROUP BY currency HAVING sum(amount_minor) <> 0
    ) THEN
        RAISE EXCEPTION 'the % of order % does not balance', NEW.kind, NEW.order_id
            USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;

-- Deferred: a booking is whole only at the end of its transaction.
CREATE CONSTRAINT TRIGGER ledger_entries_balance AFTER INSERT ON ledger_entries
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION check_balance();

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'what is booked stays booked; book the reverse'
        USING ERRCODE = 'check_violation';
END $$;

CREATE TRIGGER ledger_entries_are_final BEFORE UPDATE OR DELETE ON ledger_entries
    FOR EACH ROW EXECUTE FUNCTION refuse_change();

-- What is to be sent, row by row: Debezium's outbox router reads each insert from the log of the
-- database and puts `payload` untouched on the topic `aggregatetype` under the key `aggregateid`,
-- with the other columns as headers. The id follows from what the row says (order and version, or a
-- dead letter's place), so that the same thing cannot be said twice.
CREATE TABLE outbox (
    id             uuid        PRIMARY KEY,
    aggregatetype  text        NOT NULL,
    aggregateid    text        NOT NULL,
    type           text        NOT NULL,
    payload        bytea,
    ce_id          text,
    ce_source      text,
    ce_type        text,
    ce_time        text,
    ce_subject     text,
    ce_specversion text,
    traceparent    text,
    correlationid  text,
    causationid    text,
    lineage        text,
    dlq_cause      text,
    dlq_topic      text,
    dlq_partition  text,
    dlq_offset     text,
    dlq_service    text,
    dlq_time       text,
    created_at     timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX outbox_created ON outbox (created_at);
