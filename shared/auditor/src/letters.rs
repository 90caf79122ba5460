//! [`Letters`]: who refused which record, by the dead letters.

use crate::evidence::Evidence;
use contracts::ServiceName;
use std::collections::{BTreeMap, BTreeSet};

/// Who refused which record.
pub(crate) struct Letters<'a> {
    by_origin: BTreeMap<&'a str, BTreeSet<ServiceName>>,
}

impl<'a> Letters<'a> {
    pub(crate) fn new(evidence: &'a Evidence) -> Self {
        let mut by_origin: BTreeMap<&str, BTreeSet<ServiceName>> = BTreeMap::new();
        for letter in &evidence.letters {
            by_origin.entry(&letter.origin).or_default().insert(letter.service);
        }
        Self { by_origin }
    }

    /// The services that have put aside the record at `address`.
    pub(crate) fn of(&self, address: &str) -> BTreeSet<ServiceName> {
        self.by_origin.get(address).cloned().unwrap_or_default()
    }

    /// Whether `service` has put aside the record at `address`.
    pub(crate) fn has(&self, address: &str, service: ServiceName) -> bool {
        self.by_origin.get(address).is_some_and(|services| services.contains(&service))
    }

    /// Whether anybody has.
    pub(crate) fn has_any(&self, address: &str) -> bool {
        self.by_origin.contains_key(address)
    }
}
