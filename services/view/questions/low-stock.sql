SELECT sku, p.product->>'name' AS name, s.on_hand, s.reserved, s.available
FROM products p JOIN stock s USING (sku)
WHERE (p.product->>'active')::boolean AND s.available < $1::bigint
ORDER BY s.available, sku
