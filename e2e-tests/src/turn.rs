//! [`Turn`]: a shop that tests share, while it is a test's turn.

use crate::outside::Outside;
use std::ops::Deref;

/// A shop for a test, and what keeps the others away meanwhile: a guard.
pub struct Turn<G> {
    outside: Outside,
    _guard: G,
}

impl<G> Turn<G> {
    /// The shop, until the guard goes.
    pub fn new(outside: Outside, guard: G) -> Self {
        Self { outside, _guard: guard }
    }
}

impl<G> Deref for Turn<G> {
    type Target = Outside;

    fn deref(&self) -> &Outside {
        &self.outside
    }
}
