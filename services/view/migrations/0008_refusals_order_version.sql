-- The version of the order that the command was judged by; NULL when there was no order. A refusal stands on
-- another topic than the order, and may be here first.
ALTER TABLE refusals ADD COLUMN order_version bigint;
