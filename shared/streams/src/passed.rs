//! [`Passed`]: the records that an operator has taken out of the way.

use crate::Record;
use std::collections::BTreeMap;

/// Records that nothing comes of: their digests, by address. An address alone is not enough, as a
/// topic that was made again gives it to another record.
#[derive(Debug, Clone, Default)]
pub struct Passed(BTreeMap<String, String>);

impl Passed {
    /// Pass by these records as well: [`Record::address`] and [`Record::digest`] of each.
    pub fn extend(&mut self, records: impl IntoIterator<Item = (String, String)>) {
        self.0.extend(records);
    }

    /// Whether `record` is passed by.
    pub fn has(&self, record: &Record) -> bool {
        let digest = || self.0.get(&record.address());
        !self.0.is_empty() && digest().is_some_and(|digest| *digest == record.digest())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Headers;

    #[test]
    fn another_record_at_the_same_address_is_not_passed_by() {
        let record = |value: &[u8]| Record {
            topic: "words".into(),
            partition: 0,
            offset: 7,
            timestamp_ms: 1,
            key: None,
            value: Some(value.to_vec()),
            headers: Headers::default(),
        };
        let (bad, other) = (record(b"bad"), record(b"good"));
        let mut passed = Passed::default();
        assert!(!passed.has(&bad));
        passed.extend([(bad.address(), bad.digest())]);
        assert!(passed.has(&bad) && !passed.has(&other));
    }
}
