//! Chaos: a shop under load in which things break at random, from a seed, and what its customers
//! saw of it.
//!
//! - [`Act`]: what can be broken.
//! - [`plan`]: what is broken and when, a pure function of the seed.
//! - [`Ground`]: the shop in which it happens.
//! - [`Breaker`]: breaks it, and undoes it; `servers`: through the servers' own interfaces.
//! - `recovery`: how long customers had to wait because of it.
//! - `report` and `timeline`: the same in tables and as a picture; `page`: all of it as HTML.
//! - `figures`: what customers saw in each second.
//! - [`Run`]: all of it, with the verdict.

mod act;
mod fault;
mod figures;
mod ground;
mod page;
pub mod plan;
mod recovery;
mod report;
mod run;
mod servers;
mod timeline;

pub use act::Breaker;
pub use fault::{Act, BankFault, ConnectorFault, MailFault};
pub use ground::Ground;
pub use recovery::Happened;
pub use run::Run;
