//! What fraud decides. Pure.

pub mod exposure;
