//! A shop in containers: what Docker says of it, and what can be done to its processes.
//!
//! [`Project`] is the shop that `docker compose up` runs. It answers the same requests as the
//! supervisor of a native shop does, so the commands need not know which of them they talk to.

mod control;
mod docker;
mod project;

pub use docker::{PROJECT_LABEL, answers, docker};
pub use project::{Container, Project};
