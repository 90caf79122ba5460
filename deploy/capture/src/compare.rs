//! The rows of a table against the last records of its topic.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use contracts::avro::Message;
use contracts::topics::{self, Topic};
use serde::Serialize;
use serde_json::Value;
use streams::{Codec, Failure};
use streams_kafka::HttpRegistry;
use tokio::runtime::Handle;

use crate::sources::Source;
use crate::{Addresses, bounded, kafka, postgres};

/// How long a change may be on its way: what differs after that as before differs for good.
const ON_ITS_WAY: Duration = Duration::from_secs(3);

/// What is not the same on the topic as in the table, by key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// How many rows the table has.
    pub rows: usize,
    /// Keys of rows without a record.
    pub missing: Vec<String>,
    /// Keys of records without a row.
    pub gone: Vec<String>,
    /// Keys of rows whose record says something else.
    pub old: Vec<String>,
}

impl Difference {
    /// Whether the topic says what the table says.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.missing.is_empty() && self.gone.is_empty() && self.old.is_empty()
    }

    /// What is in both.
    fn and(self, other: &Self) -> Self {
        let both = |ours: Vec<String>, others: &[String]| {
            ours.into_iter().filter(|key| others.contains(key)).collect()
        };
        Self {
            rows: self.rows,
            missing: both(self.missing, &other.missing),
            gone: both(self.gone, &other.gone),
            old: both(self.old, &other.old),
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            ("not on the topic", &self.missing),
            ("on the topic and no more in the table", &self.gone),
            ("on the topic as they were before", &self.old),
        ];
        let said = parts.iter().filter(|(_, keys)| !keys.is_empty()).map(|(what, keys)| {
            let some: Vec<_> = keys.iter().take(3).map(String::as_str).collect();
            let more = if keys.len() > some.len() { ", ..." } else { "" };
            format!("{} {what} ({}{more})", keys.len(), some.join(", "))
        });
        f.write_str(&said.collect::<Vec<_>>().join(", "))
    }
}

/// Each table of `source` that has a topic, and what differs for longer than a change takes.
pub(crate) async fn tables(
    addresses: &Addresses,
    source: &'static Source,
) -> Vec<(String, Result<Difference, String>)> {
    let mut tables = Vec::new();
    for table in source.tables.iter().filter(|table| source.topic(table).is_some()) {
        let compared = bounded("comparing rows and records", lasting(addresses, source, table));
        tables.push((table.clone(), compared.await));
    }
    tables
}

/// What differs now and still a while later.
pub(crate) async fn lasting(
    addresses: &Addresses,
    source: &'static Source,
    table: &str,
) -> Result<Difference> {
    let first = once(addresses, source, table).await?;
    if first.is_none() {
        return Ok(first);
    }
    tokio::time::sleep(ON_ITS_WAY).await;
    Ok(once(addresses, source, table).await?.and(&first))
}

/// What differs at the moment.
pub(crate) async fn once(
    addresses: &Addresses,
    source: &'static Source,
    table: &str,
) -> Result<Difference> {
    let Some(topic) = source.topic(table) else { bail!("{table} has no topic") };
    let rows = postgres::rows(addresses.database(source), table).await?;
    let rows = rows.into_iter().map(|(key, row)| (key, row.0)).collect();
    let (kafka, registry) = (addresses.kafka.clone(), addresses.registry.clone());
    let runtime = Handle::current();
    let table = table.to_owned();
    let read = move || {
        let codec = Codec::new(Arc::new(HttpRegistry::new(&registry, runtime)?));
        let records = kafka::latest(&kafka, topic)?;
        let said =
            records.into_iter().map(|(key, bytes)| Ok((key, value(&codec, &table, &bytes)?)));
        said.collect::<Result<BTreeMap<_, _>>>()
    };
    Ok(difference(&rows, &tokio::task::spawn_blocking(read).await??))
}

/// What our readers see of a record; none if they do not understand it, or read no such table.
fn value(codec: &Codec, table: &str, bytes: &[u8]) -> Result<Option<Value>> {
    match table {
        "products" => decoded(codec, &topics::PRODUCTS, bytes),
        "customers" => decoded(codec, &topics::CUSTOMERS, bytes),
        _ => Ok(None),
    }
}

fn decoded<K, V: Message + Serialize>(
    codec: &Codec,
    topic: &Topic<K, V>,
    bytes: &[u8],
) -> Result<Option<Value>> {
    match codec.decode(topic, bytes) {
        Ok(value) => Ok(Some(serde_json::to_value(value)?)),
        // Its readers say so, and which column it is.
        Err(Failure::Poison(_)) => Ok(None),
        Err(Failure::Retriable(error) | Failure::Fatal(error)) => Err(error),
    }
}

fn difference(
    rows: &BTreeMap<String, Value>,
    records: &BTreeMap<String, Option<Value>>,
) -> Difference {
    let mut found = Difference { rows: rows.len(), ..Difference::default() };
    found.gone = records.keys().filter(|key| !rows.contains_key(*key)).cloned().collect();
    for (key, row) in rows {
        match records.get(key) {
            None => found.missing.push(key.clone()),
            Some(Some(record)) if !says(record, row) => found.old.push(key.clone()),
            Some(_) => {}
        }
    }
    found
}

/// Whether each column that the record has is as in the row.
fn says(record: &Value, row: &Value) -> bool {
    let columns = record.as_object().into_iter().flatten();
    columns.into_iter().all(|(column, value)| row.get(column) == Some(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn keys(of: &[&str]) -> Vec<String> {
        of.iter().map(|key| (*key).to_owned()).collect()
    }

    #[test]
    fn rows_and_records_are_compared_by_key_and_by_the_columns_that_we_read() {
        let row = |name: &str| json!({"name": name, "updated_at": "today"});
        let record = |name: &str| Some(json!({"name": name}));
        let rows = BTreeMap::from([
            ("a".to_owned(), row("Ada")),
            ("b".to_owned(), row("Barbara")),
            ("c".to_owned(), row("Charles")),
            ("d".to_owned(), row("too long for its reader")),
        ]);
        let records = BTreeMap::from([
            ("a".to_owned(), record("Ada")),
            ("b".to_owned(), record("Babs")),
            ("d".to_owned(), None),
            ("e".to_owned(), record("Edsger")),
        ]);
        let found = difference(&rows, &records);
        let expected =
            Difference { rows: 4, missing: keys(&["c"]), gone: keys(&["e"]), old: keys(&["b"]) };
        assert_eq!(found, expected);
        assert!(found.to_string().contains("1 on the topic and no more in the table (e)"));
        assert!(!found.is_none() && Difference::default().is_none());
    }

    #[test]
    fn what_was_on_its_way_is_no_difference() {
        let first = Difference { missing: keys(&["a", "b"]), ..Difference::default() };
        let then = Difference { rows: 2, missing: keys(&["b", "c"]), ..Difference::default() };
        assert_eq!(then.and(&first).missing, ["b"]);
    }
}
