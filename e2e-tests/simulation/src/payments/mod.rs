//! Payments: its intake and its supervisor are the service's own code, over tables in memory and a
//! bank behind a bad line. What is here is their surroundings, and what goes wrong in between.

pub(crate) mod database;
pub(crate) mod intake;
pub(crate) mod supervisor;

use std::{
    pin::pin,
    task::{Context, Poll, Waker},
};

/// What `future` gives: in a simulation nothing waits for anything.
fn at_once<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => unreachable!("tables in memory answer at once"),
    }
}
