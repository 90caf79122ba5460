//! Where a process of the shop can be told to die, for the tests that kill every service at every
//! step. The switch is [`streams::failpoint`]; this is the list.

use streams::failpoint::{self, Failpoint};

/// Every failpoint, in the order in which a batch meets them.
pub const FAILPOINTS: [Failpoint; 14] = {
    const TRANSACTIONAL: &[&str] =
        &["orders", "inventory-split", "inventory-stock", "view", "email"];
    const EVERY: &[&str] =
        &["orders", "inventory-split", "inventory-stock", "payments", "view", "email"];
    const fn at(
        name: &'static str,
        loops: &'static [&'static str],
        when: &'static str,
    ) -> Failpoint {
        Failpoint { name, loops, when }
    }
    [
        at("claimed", &["payments"], "partitions are ours in the database; none was read from"),
        at(
            "restoring",
            &["orders", "inventory-stock", "email"],
            "a part of the state is restored and on disk; the rest is not",
        ),
        at("polled", EVERY, "a batch was read; nothing is decided"),
        at("mailed", &["email"], "the mail server has accepted a mail; nothing else knows of it"),
        at("sql-open", &["payments"], "the batch is written; its SQL transaction is open"),
        at("sql-committed", &["payments", "view"], "Postgres has the batch; Kafka knows nothing"),
        at("decided", TRANSACTIONAL, "the batch is decided; no Kafka transaction is open"),
        at(
            "sent",
            TRANSACTIONAL,
            "its records are delivered; the offsets are not in the transaction",
        ),
        at("offsets-sent", TRANSACTIONAL, "records and offsets are sent; nothing is committed"),
        at("committed", TRANSACTIONAL, "Kafka has committed; the local store is behind"),
        at("applied", TRANSACTIONAL, "the local store is up to date; the next batch is not read"),
        at("bank-claimed", &["payments"], "a payment is claimed; the bank was not called"),
        at("bank-answered", &["payments"], "the bank has answered; the answer is not written"),
        at(
            "result-written",
            &["payments"],
            "the answer is committed; Debezium may not have sent it",
        ),
    ]
};

/// Arm the one of these that the variable `FAILPOINT` names, if it is set.
///
/// # Errors
/// When it does not; with those that there are.
pub fn arm() -> Result<(), String> {
    failpoint::arm(&FAILPOINTS)
}
