//! The two processors of inventory: one takes orders apart, the other keeps stock.

mod split;
mod stock;

pub use split::SplitProcessor;
pub use stock::StockProcessor;
