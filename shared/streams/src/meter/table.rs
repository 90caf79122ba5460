//! The metrics of the runtime: of loops, of what a process is made of, and of its HTTP server. A
//! loop is a processor; its name is that of its thread and group.

use super::Metric;

/// Upper bounds for the steps of a transaction, in seconds: one takes some milliseconds.
const STEP_BOUNDS_S: &[f64] =
    &[0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Upper bounds for requests, in seconds, as the semantic conventions for HTTP advise.
const REQUEST_BOUNDS_S: &[f64] =
    &[0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

/// Batches.
pub static BATCHES: Metric = Metric::counter(
    "streams.batches",
    "{batch}",
    &["loop"],
    "Batches of a loop that were committed, with or without a transaction",
);
/// Records.
pub static RECORDS: Metric = Metric::counter(
    "streams.records",
    "{record}",
    &["loop"],
    "Input records whose effects and offsets are committed",
);
/// Records that were sent.
pub static SENT: Metric = Metric::counter(
    "streams.sent",
    "{record}",
    &["loop", "topic"],
    "Records that a loop has written in committed transactions, by topic",
);
/// Transactions.
pub static TRANSACTIONS: Metric = Metric::counter(
    "streams.transactions",
    "{transaction}",
    &["loop", "outcome"],
    "Kafka transactions by outcome: committed, aborted",
);
/// Steps of transactions.
pub static PHASES: Metric = Metric::seconds(
    "streams.transaction.phase.duration",
    STEP_BOUNDS_S,
    &["loop", "phase"],
    "How long a step of a transaction took: begin, send, offsets, commit, abort",
);
/// Fences.
pub static FENCES: Metric = Metric::counter(
    "streams.fences",
    "{fence}",
    &["loop"],
    "How often Kafka or the database said that another instance had taken over, or might have",
);
/// New epochs.
pub static RENEWALS: Metric = Metric::counter(
    "streams.producer.renewals",
    "{producer}",
    &["loop"],
    "Producers that were replaced to get a new epoch, after an EndTxn in doubt",
);
/// New clients.
pub static CONNECTS: Metric = Metric::counter(
    "streams.connects",
    "{connect}",
    &["loop"],
    "How often a loop made its clients and joined its group; the first time is its start",
);
/// Failures.
pub static FAILURES: Metric = Metric::counter(
    "streams.failures",
    "{failure}",
    &["loop", "class"],
    "Calls that went wrong, by what follows: retriable, abortable, fatal, final",
);
/// Restores.
pub static RESTORES: Metric = Metric::counter(
    "streams.state.restores",
    "{partition}",
    &["loop"],
    "Partitions that were taken over, and their state brought up to date",
);
/// Rebuilds.
pub static REBUILDS: Metric = Metric::counter(
    "streams.state.rebuilds",
    "{partition}",
    &["loop"],
    "Partitions whose state was dropped and read back from the log",
);
/// Dead letters.
pub static DEAD_LETTERS: Metric = Metric::counter(
    "streams.dead_letters",
    "{record}",
    &["loop", "topic"],
    "Input records that were put aside, by the topic that they stand on",
);
/// Partitions.
pub static PARTITIONS: Metric = Metric::gauge(
    "streams.partitions",
    "{partition}",
    &["loop"],
    "Partition numbers at work in this instance; 0 while the loop waits",
);
/// Partitions by contract.
pub static PARTITIONS_IN_ALL: Metric = Metric::gauge(
    "streams.partitions.in_all",
    "{partition}",
    &["loop"],
    "Partition numbers that the loop has in all, over all instances: `PARTITIONS`",
);
/// Lag in records.
pub static LAG: Metric = Metric::gauge(
    "streams.lag.records",
    "{record}",
    &["loop", "topic", "partition"],
    "Committed records that the loop has not read yet, as Kafka said in the last 5 s",
);
/// Lag in time.
pub static LAG_AGE: Metric = Metric::gauge(
    "streams.lag",
    "s",
    &["loop", "topic", "partition"],
    "How far behind that is in time: since the record that was read last, at the longest since the \
     end was seen; 0 at the end",
);
/// Checks.
pub static CHECKS: Metric = Metric::gauge(
    "service.check.state",
    "{state}",
    &["check"],
    "Each check of /health/ready: 2 up, 1 degraded, 0 down",
);
/// Refusals.
pub static REFUSALS: Metric = Metric::counter(
    "kafka.refusals",
    "{refusal}",
    &["what"],
    "How often Kafka has refused something to this process: login, tls (no connection, such as for \
     a certificate), right (no rule allows it)",
);
/// Requests.
pub static REQUESTS: Metric = Metric::seconds(
    "http.server.request.duration",
    REQUEST_BOUNDS_S,
    &["http.request.method", "http.route", "http.response.status_code"],
    "How long requests took until their response began",
);

/// All of these.
pub static RUNTIME: &[&Metric] = &[
    &BATCHES,
    &RECORDS,
    &SENT,
    &TRANSACTIONS,
    &PHASES,
    &FENCES,
    &RENEWALS,
    &CONNECTS,
    &FAILURES,
    &RESTORES,
    &REBUILDS,
    &DEAD_LETTERS,
    &PARTITIONS,
    &PARTITIONS_IN_ALL,
    &LAG,
    &LAG_AGE,
    &CHECKS,
    &REFUSALS,
    &REQUESTS,
];

/// What the Prometheus client tells of the process, on Linux.
pub static PROCESS: &[(&str, &str, &str)] = &[
    ("process_cpu_seconds_total", "counter", "Processor time, user and system"),
    ("process_max_fds", "gauge", "Most files that the process may have open"),
    ("process_open_fds", "gauge", "Files that it has open"),
    ("process_resident_memory_bytes", "gauge", "Memory that it has in RAM"),
    ("process_start_time_seconds", "gauge", "When it started, in seconds since 1970"),
    ("process_threads", "gauge", "Its threads"),
    ("process_virtual_memory_bytes", "gauge", "Its address space"),
];
