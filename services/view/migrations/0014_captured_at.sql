-- When a topic gets more partitions, a key may move to another one, where offsets say nothing about
-- those of the former. Then the time of the record says which row is the later one.
ALTER TABLE products ADD COLUMN log_timestamp bigint NOT NULL DEFAULT 0;
ALTER TABLE customers ADD COLUMN log_timestamp bigint NOT NULL DEFAULT 0;
