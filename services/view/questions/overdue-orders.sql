SELECT o.order_id, o.status, o.customer_id, (extract(epoch FROM now()) * 1000)::bigint - o.deadline AS overdue_ms
FROM orders o
WHERE o.status NOT IN ('confirmed', 'rejected', 'cancelled', 'refunded')
    AND o.deadline < (extract(epoch FROM now()) * 1000)::bigint
ORDER BY overdue_ms DESC, o.order_id
