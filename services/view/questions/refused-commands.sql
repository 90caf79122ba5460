SELECT command, reason->>'code' AS code, count(*) AS commands,
    to_timestamp(max(refused_at) / 1000.0) AS latest_at
FROM refusals CROSS JOIN jsonb_array_elements(reasons) AS reason
WHERE refused_at >= (extract(epoch FROM now()) * 1000)::bigint - $1::bigint * 1000
GROUP BY command, reason->>'code'
ORDER BY commands DESC, command, code
