SELECT status, currency, count(*) AS orders, sum(total_minor) AS total_minor
FROM orders
GROUP BY status, currency
ORDER BY orders DESC, status, currency
