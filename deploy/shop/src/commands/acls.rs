//! `shop acls`: the rules for a Kafka with access control, from the tables of the contracts.

use contracts::acls::text;

/// Prints them: for `kafka-acls.sh`, or for Strimzi.
pub(crate) fn run(strimzi: bool) {
    print!("{}", if strimzi { text::strimzi() } else { text::commands() });
}
