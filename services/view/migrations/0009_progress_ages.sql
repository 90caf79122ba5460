-- How far each partition is shown: until when its last record was applied, and when it was read to
-- its end. By this server's clock, so that no instance has to trust the clock of another one.
DROP TABLE progress;
CREATE TABLE progress (
    log_partition integer PRIMARY KEY,
    applied_at    timestamptz,
    caught_up_at  timestamptz
);
