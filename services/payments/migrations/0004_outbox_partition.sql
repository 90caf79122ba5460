-- Where a key belongs follows from the topic's contract, and not from the partitions that the topic has been given since.
-- Rows that were there before have none: their partition is that of the key.
ALTER TABLE outbox ADD COLUMN partition integer;
