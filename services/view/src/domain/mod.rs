//! The decisions of the view, without IO.

pub mod bounds;
pub mod goal;
pub mod history;
pub mod position;
