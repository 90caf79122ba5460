//! The places where a test can make a process of the shop die, for the tests that kill every
//! service at every step. The switch is [`streams::failpoint`]; this is the list.

use crate::services::{Offsets, ProcessorSpec, SERVICES};
use streams::failpoint::{self, Failpoint};

/// Which processors of the table pass a failpoint.
#[derive(Clone, Copy)]
enum Pass {
    Every,
    Transactional,
    WithState,
}

const fn passes(pass: Pass, one: &ProcessorSpec) -> bool {
    match pass {
        Pass::Every => true,
        Pass::Transactional => matches!(one.offsets, Offsets::Kafka),
        Pass::WithState => !one.state.is_empty(),
    }
}

const fn count(pass: Pass) -> usize {
    let (mut found, mut row) = (0, 0);
    while row < SERVICES.len() {
        let mut index = 0;
        while index < SERVICES[row].processors.len() {
            found += passes(pass, &SERVICES[row].processors[index]) as usize;
            index += 1;
        }
        row += 1;
    }
    found
}

const fn names<const N: usize>(pass: Pass) -> [&'static str; N] {
    let (mut names, mut found, mut row) = ([""; N], 0, 0);
    while row < SERVICES.len() {
        let mut index = 0;
        while index < SERVICES[row].processors.len() {
            let one = &SERVICES[row].processors[index];
            if passes(pass, one) {
                names[found] = one.name;
                found += 1;
            }
            index += 1;
        }
        row += 1;
    }
    names
}

/// Every failpoint, in the order in which a batch meets them.
pub const FAILPOINTS: [Failpoint; 14] = {
    const EVERY: &[&str] = &names::<{ count(Pass::Every) }>(Pass::Every);
    const TRANSACTIONAL: &[&str] = &names::<{ count(Pass::Transactional) }>(Pass::Transactional);
    const WITH_STATE: &[&str] = &names::<{ count(Pass::WithState) }>(Pass::WithState);
    const fn at(
        name: &'static str,
        processors: &'static [&'static str],
        when: &'static str,
    ) -> Failpoint {
        Failpoint { name, processors, when }
    }
    [
        at("claimed", &["payments"], "partitions are ours in the database; none was read from"),
        at("restoring", WITH_STATE, "a part of the state is restored and on disk; the rest is not"),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failpoint_is_in_processors_of_the_table() {
        let known: Vec<_> = SERVICES.iter().flat_map(|row| row.processor_names()).collect();
        for point in FAILPOINTS {
            assert!(!point.processors.is_empty(), "{point:?}");
            assert!(point.processors.iter().all(|name| known.contains(name)), "{point:?}");
        }
        let restored = FAILPOINTS.iter().find(|point| point.name == "restoring");
        let restored = restored.unwrap().processors;
        assert!(restored.contains(&"orders") && !restored.contains(&"view"), "{restored:?}");
    }
}
