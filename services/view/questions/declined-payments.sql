SELECT order_id, customer_id, status, total_minor, currency,
    (payment->>'decided_at')::timestamptz AS decided_at
FROM orders
WHERE payment->>'status' = 'declined'
    AND (payment->>'decided_at')::timestamptz >= now() - $1::bigint * interval '1 second'
ORDER BY decided_at DESC, order_id
