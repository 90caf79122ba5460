//! [`Repository`]: the tables of the view, as its processor sees them. The adapter on Postgres is
//! one, the simulation's rows in memory are another.

use crate::batch::{Batch, Outcome};

/// Why nothing of a batch is written.
#[derive(Debug, thiserror::Error)]
pub enum Unwritten {
    /// The tables refuse something in it, and always will. In the database's own words.
    #[error("{0}")]
    Refused(String),
    /// The tables are away, or the outcome of the write is unknown: try again.
    #[error(transparent)]
    Failed(#[from] anyhow::Error),
}

/// Where the lean views are kept.
pub trait Repository: Send {
    /// Write `batch` in one transaction, and tell what became of each of its records, in their
    /// order. A batch that was written before changes nothing, however it was cut then.
    ///
    /// # Errors
    /// [`Unwritten`].
    fn apply(&mut self, batch: Batch<'_>) -> Result<Vec<Outcome>, Unwritten>;
}
