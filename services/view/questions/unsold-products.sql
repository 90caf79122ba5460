SELECT sku, p.product->>'name' AS name, s.available
FROM products p LEFT JOIN stock s USING (sku)
WHERE (p.product->>'active')::boolean
    AND NOT EXISTS (SELECT FROM sales WHERE sales.sku = p.sku)
ORDER BY sku
