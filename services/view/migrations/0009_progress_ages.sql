-- How far each partition is shown. Times are those of this server's clock, so that no instance has to trust the
-- clock of another one: until when its last record was applied, and when it was read to its end.
DROP TABLE progress;
CREATE TABLE progress (
    log_partition integer PRIMARY KEY,
    applied_at    timestamptz,
    caught_up_at  timestamptz
);
