SELECT reason->>'code' AS code, reason->>'check' AS source, count(*) AS orders,
    max(reason->>'detail') AS example
FROM orders o CROSS JOIN jsonb_array_elements(o.reasons) AS reason
WHERE o.status IN ('rejected', 'cancelled', 'refunded')
    AND o.requested_at >= (extract(epoch FROM now()) * 1000)::bigint - $1::bigint * 1000
GROUP BY reason->>'code', reason->>'check'
ORDER BY orders DESC, code, source
