//! The store of the state.

pub(crate) mod store;
