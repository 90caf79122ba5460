//! Chaos: a shop under load in which things break at random, from a seed, and what its customers saw of it.
//!
//! - [`plan`]: what is broken and when, a pure function of the seed.
//! - [`act`]: breaks it, and undoes it.
//! - [`recovery`]: how long customers had to wait because of it.
//! - [`report`] and [`timeline`]: the same in tables and as a picture.

pub mod act;
pub mod plan;
pub mod recovery;
pub mod report;
pub mod timeline;
