//! The client of a running shop: finds it, however it runs, asks it for something, and orders from
//! it.
//!
//! - [`Dirs`] and [`State`]: the folder of a shop, and the file in it that says where its processes
//!   are.
//! - [`control`]: the requests to the keeper of a shop, and the socket that carries them.
//! - [`Found`]: the shop that a command means. [`containers`] is one that Docker runs.
//! - [`metrics`]: what Prometheus needs to know of it.
//! - [`Shop`]: a shop that a program starts for itself, breaks and mends.
//! - [`OrderClient`]: places orders as a careful client does.

mod badge;
pub mod containers;
pub mod control;
mod dirs;
mod find;
mod health;
pub mod log;
pub mod metrics;
mod order_client;
mod passfile;
pub mod private_file;
mod processes;
mod progress;
mod shop;
mod state;
mod status;

pub use badge::{AUDIENCE, Badge, Development, ISSUER, issue};
pub use dirs::{Dirs, fingerprint};
pub use find::Found;
pub use health::Health;
pub use order_client::{Answer, Manners, NotNow, OrderClient, OrderView, Outcome, order_body};
pub use passfile::{place, with_password};
pub use processes::{HEALTHY_WITHIN, HOST, PORTS, SERVICES, process_called, service_of};
pub use progress::Progress;
pub use shop::{Shop, StartOptions, program};
pub use state::{Profile, State, build, urls_at};
pub use status::{ProcessState, ProcessStatus};
