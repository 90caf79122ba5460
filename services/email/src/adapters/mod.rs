//! The adapters of email: its state, and the mail server.

#[cfg(feature = "service")]
pub mod smtp;
pub(crate) mod store;
