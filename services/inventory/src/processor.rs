//! The two processors of inventory: one splits orders, the other keeps stock.

mod split;
mod stock;

pub use split::SplitProcessor;
pub use stock::StockProcessor;
