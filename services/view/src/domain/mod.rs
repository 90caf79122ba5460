//! What the view decides, without IO.

pub mod bounds;
pub mod goal;
pub mod history;
