//! Waiting for a condition, with a deadline, and with the last state seen in the message.

use std::{
    fmt::Debug,
    future::Future,
    time::{Duration, Instant},
};

/// How long a test waits for what is there in a moment on a machine that has no other work. It ends
/// a wait in vain; nothing is measured by it.
pub const PATIENCE: Duration = Duration::from_secs(120);

const INTERVAL: Duration = Duration::from_millis(25);

/// Look until `look` gives a value, for `deadline` at most.
///
/// # Panics
/// When the time is over: with `what`, and the last state seen.
pub async fn wait_for<T, S, F>(what: &str, deadline: Duration, mut look: impl FnMut() -> F) -> T
where
    S: Debug,
    F: Future<Output = Result<T, S>>,
{
    let started = Instant::now();
    loop {
        match look().await {
            Ok(value) => return value,
            Err(state) if started.elapsed() >= deadline => {
                panic!("waited {deadline:?} in vain for {what}; last seen: {state:#?}")
            }
            Err(_) => tokio::time::sleep(INTERVAL).await,
        }
    }
}

/// The same for threads.
///
/// # Panics
/// When the time is over: with `what`, and the last state seen.
pub fn wait_until<T, S: Debug>(
    what: &str,
    deadline: Duration,
    mut look: impl FnMut() -> Result<T, S>,
) -> T {
    let started = Instant::now();
    loop {
        match look() {
            Ok(value) => return value,
            Err(state) if started.elapsed() >= deadline => {
                panic!("waited {deadline:?} in vain for {what}; last seen: {state:#?}")
            }
            Err(_) => std::thread::sleep(INTERVAL),
        }
    }
}
