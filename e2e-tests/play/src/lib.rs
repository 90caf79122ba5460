//! The simulation as a page. `./shop play` serves it; `./shop play --record FILE.html` writes one
//! run as a file that needs no server.
//!
//! The page has the clock, and this has the runs: it is asked for what happens between two steps of
//! the run that an address names ([`Asked`]), and answers the same each time.

mod asked;
mod bundle;
mod cli;
mod files;
mod player;
mod server;
mod tape;

pub use asked::Asked;
pub use cli::Cli;
pub use player::Player;
pub use tape::Tape;
