-- Who has asked for the order at the edge, for what follows from it.
ALTER TABLE payments ADD COLUMN callerid text;
ALTER TABLE outbox ADD COLUMN callerid text;
