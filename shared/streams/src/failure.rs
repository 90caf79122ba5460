//! The failures of a record, by the reaction that they need.

use std::fmt;

/// Why a record was not handled. A business refusal is no failure: it is an event.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The record can never be handled: it goes to the dead letters, and the partition goes on.
    #[error("{0}")]
    Poison(String),
    /// Something that the record needs is away for now: the batch is tried again, with backoff.
    #[error("{0:#}")]
    Retriable(anyhow::Error),
    /// Our own state is broken, or another instance owns it: the engine rebuilds clients and state.
    #[error("{0:#}")]
    Fatal(anyhow::Error),
}

impl Failure {
    /// A record that can never be handled, and why.
    pub fn poison(cause: impl fmt::Display) -> Self {
        Self::Poison(cause.to_string())
    }

    /// Something is away for now.
    pub fn retriable(cause: impl Into<anyhow::Error>) -> Self {
        Self::Retriable(cause.into())
    }

    /// Start over.
    pub fn fatal(cause: impl Into<anyhow::Error>) -> Self {
        Self::Fatal(cause.into())
    }
}
