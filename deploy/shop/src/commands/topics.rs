//! `shop topics`: the choreography as a table, from the registry of topics.

use contracts::{
    services,
    topics::{ALL, Cleanup, TopicSpec, Writers},
};

/// Prints the table.
pub(crate) fn run() {
    print!("{}", table());
}

fn table() -> String {
    let header = ["TOPIC", "KEY", "WRITTEN BY", "READ BY", "KEPT", "VALUE"].map(str::to_owned);
    let mut rows = vec![header];
    rows.extend(ALL.iter().map(|topic| row(topic)));
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<usize> = (0..6).map(|column| width(column).unwrap_or(0)).collect();
    let mut out = String::new();
    for row in &rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        let line = cells.collect::<Vec<_>>().join("  ");
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

fn row(topic: &TopicSpec) -> [String; 6] {
    const DAY_MS: i64 = 24 * 60 * 60 * 1000;
    let kept = match topic.cleanup {
        Cleanup::Keep => "for ever".to_owned(),
        Cleanup::Compact => "latest per key".to_owned(),
        Cleanup::Delete { retention_ms } => format!("{} days", retention_ms / DAY_MS),
    };
    let writers = match topic.writers {
        Writers::AnyProcess => "any process".to_owned(),
        Writers::One(service) => service.to_string(),
        Writers::Several(services) => format!("{}, by the baton", services.join(", ")),
        Writers::Cdc => "Debezium".to_owned(),
    };
    let readers: Vec<_> = services::readers(topic).iter().map(|name| name.as_str()).collect();
    let readers = if readers.is_empty() { "-".to_owned() } else { readers.join(", ") };
    [topic.name.into(), topic.key.into(), writers, readers, kept, topic.value.into()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_topic_has_a_line() {
        let table = table();
        assert_eq!(table.lines().count(), ALL.len() + 1);
        let orders = table.lines().find(|line| line.starts_with("orders ")).unwrap();
        assert!(orders.contains("orders, payments, by the baton"), "{orders}");
    }
}
