//! The decisions of inventory. Pure: no clock, no IO, only data in and data out.

pub mod split;
pub mod stock;
