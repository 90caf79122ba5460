-- Whether a refusal says itself that its order exists: it was refused because of what the order is. Orders
-- tells so by the code (`idempotency_key_reused`, `already_confirmed`). It stands on another topic than the
-- order, and may be here first.
ALTER TABLE refusals ADD COLUMN order_exists boolean NOT NULL GENERATED ALWAYS AS (
    coalesce(reasons -> 0 ->> 'code' = 'idempotency_key_reused' OR reasons -> 0 ->> 'code' LIKE 'already\_%', false)
) STORED;
