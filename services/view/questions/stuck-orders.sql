SELECT o.order_id, o.status, o.version, t.writer AS last_writer,
    (extract(epoch FROM now()) * 1000)::bigint - t.occurred_at AS waiting_ms
FROM orders o JOIN timeline t USING (order_id, version)
WHERE o.status NOT IN ('confirmed', 'rejected', 'cancelled', 'refunded')
    AND t.occurred_at < (extract(epoch FROM now()) * 1000)::bigint - $1::bigint * 1000
ORDER BY waiting_ms DESC, o.order_id
