-- For readers who go through the log: the transitions of a partition after an offset.
CREATE INDEX timeline_places ON timeline (log_partition, log_offset);
