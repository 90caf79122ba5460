//! What inventory decides. Pure: no clock, no IO, nothing but data in and data out.

pub mod split;
pub mod stock;
