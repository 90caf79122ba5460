//! File descriptors: a connection takes one, and so do files, databases and Kafka.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// What a service has open besides its connections: libraries, logs, stores, Kafka, Postgres.
const OTHERS: u64 = 256;

/// Raises the limit of open files as far as this process may, and says how many of
/// `connections_max` connections then fit.
pub(super) fn make_room_for(connections_max: usize) -> usize {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return connections_max };
    let raised = setrlimit(Resource::RLIMIT_NOFILE, hard, hard).map_or(soft, |()| hard);
    let fits = connections_that_fit(connections_max, raised);
    if fits < connections_max {
        tracing::warn!(
            "{raised} open files are room for {fits} connections, not {connections_max}; \
             raise the limit (ulimit -n) to {}",
            connections_max as u64 + OTHERS
        );
    }
    fits
}

/// At least one, or no client could ask for the health of the service.
fn connections_that_fit(connections_max: usize, files_max: u64) -> usize {
    let room = usize::try_from(files_max.saturating_sub(OTHERS)).unwrap_or(usize::MAX);
    connections_max.min(room).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_room_for_other_files() {
        assert_eq!(connections_that_fit(1024, 1024), 768);
        assert_eq!(connections_that_fit(1024, u64::MAX), 1024);
        assert_eq!(connections_that_fit(1024, 10), 1);
    }
}
