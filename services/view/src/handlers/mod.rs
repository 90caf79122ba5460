//! One file per event that is consumed. A handler decodes a record, checks what can be told from
//! the record alone, and notes it in the batch.

pub mod on_command_refused;
pub mod on_order;
pub mod on_product_captured;
pub mod on_stock_level;
