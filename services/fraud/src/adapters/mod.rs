//! Where state is kept.

pub(crate) mod store;
