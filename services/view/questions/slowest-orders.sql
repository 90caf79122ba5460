SELECT o.order_id, o.status, o.customer_id, t.occurred_at - o.requested_at AS took_ms
FROM orders o JOIN timeline t USING (order_id, version)
WHERE o.status IN ('confirmed', 'rejected', 'cancelled', 'refunded')
    AND t.occurred_at >= (extract(epoch FROM now()) * 1000)::bigint - $1::bigint * 1000
ORDER BY took_ms DESC, o.order_id
