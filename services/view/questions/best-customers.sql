SELECT o.customer_id, c.customer->>'name' AS name, o.currency, count(*) AS orders,
    sum(o.total_minor) AS spent_minor
FROM customer_orders o LEFT JOIN customers c USING (customer_id)
WHERE o.status = 'confirmed'
GROUP BY o.customer_id, c.customer->>'name', o.currency
ORDER BY spent_minor DESC, o.customer_id, o.currency
