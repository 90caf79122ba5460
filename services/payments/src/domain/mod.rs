//! What payments decides: pure, without clock, network or database. Time and answers come in as
//! data, so every order of events can be tried in a test.

pub mod books;
pub mod payment;

pub use books::{Account, Booking};
pub use payment::{
    Answer, AtBank, Decision, Ignored, Input, Payment, State, Status, Task, decide, evolve,
};
