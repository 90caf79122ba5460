//! The decisions of fraud. Pure.

pub mod exposure;
