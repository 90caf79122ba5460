-- A payment whose deadline has come, but whose outcome cannot be decided or written for a reason of
-- its own (`last_error` says which): it is left alone until then, so that it holds up no other.
ALTER TABLE payments ADD COLUMN expire_again_at timestamptz;
