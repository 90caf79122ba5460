//! [`Source`]: what a connector captures, read from its settings in `deploy/debezium`.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use contracts::topics::{self, TopicSpec};

/// Every source, in the order in which they are shown.
pub static SOURCES: LazyLock<[Source; 2]> = LazyLock::new(|| {
    [
        Source::read(
            "catalog",
            include_str!("../../debezium/catalog.json"),
            &topics::CATALOG_HEARTBEAT,
        ),
        Source::read(
            "payments-outbox",
            include_str!("../../debezium/payments-outbox.json"),
            &topics::PAYMENTS_HEARTBEAT,
        ),
    ]
});

/// What one connector captures.
#[derive(Debug)]
pub struct Source {
    /// The name of the connector.
    pub name: String,
    /// The database that it reads.
    pub database: String,
    /// Its place in the log of the database.
    pub slot: String,
    /// What names the tables that PostgreSQL sends.
    pub publication: String,
    /// The tables, without their schema `public`.
    pub tables: Vec<String>,
    /// Where Debezium says every ten seconds that the connector works.
    pub heartbeat: &'static TopicSpec,
}

impl Source {
    /// # Panics
    /// When the settings are not as a test of this module wants them.
    fn read(name: &str, settings: &str, heartbeat: &'static TopicSpec) -> Self {
        let settings: BTreeMap<String, String> =
            serde_json::from_str(settings).expect("the settings are one flat object of texts");
        let get = |key: &str| settings.get(key).cloned().unwrap_or_default();
        let tables = get("table.include.list");
        let tables = tables.split(',').map(|table| table.trim_start_matches("public."));
        Self {
            name: name.to_owned(),
            database: get("database.dbname"),
            slot: get("slot.name"),
            publication: get("publication.name"),
            tables: tables.map(str::to_owned).collect(),
            heartbeat,
        }
    }

    /// The topic that has a row of `table` under its key; none for an outbox, whose rows are
    /// messages.
    #[must_use]
    pub fn topic(&self, table: &str) -> Option<&'static TopicSpec> {
        let name = format!("{}.{table}", self.database);
        topics::ALL.into_iter().find(|topic| topic.name == name)
    }

    /// The source that captures `table`.
    #[must_use]
    pub fn of(table: &str) -> Option<&'static Self> {
        SOURCES.iter().find(|source| source.tables.iter().any(|captured| captured == table))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sources_are_those_of_the_connectors() {
        let [catalog, outbox] = &*SOURCES;
        assert_eq!((&*catalog.slot, &*catalog.publication), ("catalog", "catalog_pub"));
        assert_eq!(catalog.tables, ["products", "customers"]);
        assert!(catalog.tables.iter().all(|table| catalog.topic(table).is_some()));
        assert_eq!((&*outbox.slot, &*outbox.publication), ("outbox", "outbox_pub"));
        assert_eq!((&*outbox.database, &*outbox.tables[0]), ("payments", "outbox"));
        assert!(outbox.topic("outbox").is_none());
        assert_eq!(Source::of("customers").map(|source| &*source.name), Some("catalog"));
        assert!(Source::of("strangers").is_none());
    }
}
