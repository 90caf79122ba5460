//! Many runs on all cores. A run has one thread; runs know nothing of each other.

use std::{
    sync::{Mutex, PoisonError},
    thread,
};

/// Run `each` for every one of `parts`, so many at a time (as many as there are cores, if none),
/// until one of them says that it was enough.
pub fn on_all_cores<T: Send>(
    parts: impl IntoIterator<Item = T, IntoIter: Send>,
    jobs: Option<usize>,
    each: impl Fn(T) -> bool + Sync,
) {
    let parts = Mutex::new(parts.into_iter().fuse());
    let next = || parts.lock().unwrap_or_else(PoisonError::into_inner).next();
    let enough = || parts.lock().unwrap_or_else(PoisonError::into_inner).by_ref().for_each(drop);
    let cores = || thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..jobs.unwrap_or_else(cores) {
            scope.spawn(|| {
                while let Some(part) = next() {
                    if each(part) {
                        enough();
                    }
                }
            });
        }
    });
}
