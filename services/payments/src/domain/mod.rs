//! The decisions of payments: pure, without clock, network or database. Time and answers are data,
//! so a test can try every order of events.

pub mod books;
pub mod payment;

pub use books::{Account, Booking};
pub use payment::{
    Answer, AtBank, Decision, Ignored, Input, Payment, State, Status, Task, decide, evolve,
};
