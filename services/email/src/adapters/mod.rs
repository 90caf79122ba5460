//! What email is connected to: its state, and the mail server.

#[cfg(feature = "service")]
pub mod smtp;
pub(crate) mod store;
