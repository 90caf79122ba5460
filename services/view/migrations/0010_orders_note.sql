-- What the customer asked for in their own words; empty if nothing, as for every order from before.
ALTER TABLE orders ADD COLUMN note text NOT NULL DEFAULT '';
