//! Time-outs and limits of the runtime: one set, which every driver reads, so that the simulation
//! waits as long as the real clients do.

use std::time::Duration;

/// A call to Kafka, or the retries of one, that takes longer has failed.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// A transaction that takes longer is aborted by its coordinator, so that a frozen instance does
/// not hold up the readers of its topics.
pub const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(10);

/// Silence after which the group gives a member's partitions to another.
pub const SESSION_TIMEOUT: Duration = Duration::from_secs(8);

/// How often a member tells its group that it is alive.
pub const HEARTBEAT_INTERVAL: Duration = Duration::from_millis(500);

/// How often time acts on the partitions ([`crate::Processor::tick`]).
pub const TICK: Duration = Duration::from_millis(200);

/// Longest wait for the first record of a batch.
pub const IDLE: Duration = Duration::from_millis(100);

/// Longest wait for a second record after the first one, so that a trickle becomes a batch.
pub const BATCH_WAIT: Duration = Duration::from_millis(2);

/// Most records in one transaction, unless a program says otherwise.
pub const BATCH_RECORDS_MAX: usize = 500;

/// A batch is full when its values and keys have so many bytes, whatever their number.
pub const BATCH_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Records that a restore folds per write to the store.
pub const RESTORE_RECORDS_MAX: usize = 1_000;
