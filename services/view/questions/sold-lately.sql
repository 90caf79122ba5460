SELECT line->>'sku' AS sku, o.currency, count(*) AS orders,
    sum((line->>'quantity')::bigint) AS pieces,
    sum((line->>'total_minor')::bigint) AS revenue_minor
FROM orders o JOIN timeline t USING (order_id, version)
    CROSS JOIN jsonb_array_elements(o.lines) AS line
WHERE o.status = 'confirmed'
    AND t.occurred_at >= (extract(epoch FROM now()) * 1000)::bigint - $1::bigint * 1000
GROUP BY line->>'sku', o.currency
ORDER BY pieces DESC, sku, o.currency
