-- Up to when each partition has been applied: every instance tells, every instance knows.
CREATE TABLE progress (
    log_partition integer PRIMARY KEY,
    caught_up_at  bigint  NOT NULL
);
