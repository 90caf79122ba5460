SELECT transition, writer, count(*) AS transitions,
    percentile_disc(0.5) WITHIN GROUP (ORDER BY latency_ms) AS p50_ms,
    percentile_disc(0.99) WITHIN GROUP (ORDER BY latency_ms) AS p99_ms,
    max(latency_ms) AS max_ms
FROM timeline
WHERE occurred_at >= (extract(epoch FROM now()) * 1000)::bigint - $1::bigint * 1000
GROUP BY transition, writer
ORDER BY p99_ms DESC, transition, writer
