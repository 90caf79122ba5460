-- The messages on `orders` that have not come back to payments, which reads `orders` as well: written and deleted with the
-- message's row of the outbox, and with the offset of its record. What stays here has not been relayed.
CREATE TABLE outbox_unreturned (
    -- That of the row in `outbox`.
    id         uuid        PRIMARY KEY,
    written_at timestamptz NOT NULL DEFAULT now(),
    -- How often it was sent, and when last.
    times      int         NOT NULL DEFAULT 1,
    sent_at    timestamptz NOT NULL DEFAULT now(),
    -- Where in the log of the database that was: a relay that has confirmed more has passed it by.
    sent_lsn   pg_lsn      NOT NULL DEFAULT pg_current_wal_insert_lsn()
);
CREATE INDEX outbox_unreturned_written ON outbox_unreturned (written_at);
