//! [`ViewName`]: which views there are; [`Definition`]: what one is made of.

use contracts::topics::TopicSpec;
use std::{fmt, str::FromStr};
use uuid::Uuid;

/// What a view is made of. Each owner file has one.
#[derive(Debug)]
pub struct Definition {
    /// Its name, for operators.
    pub name: &'static str,
    /// What it is the fold of.
    pub topics: &'static [&'static TopicSpec],
    /// Its tables, which belong to no other view.
    pub tables: &'static [&'static str],
    /// Makes the tables, with all that belongs to them, in the first schema of the search path.
    pub ddl: &'static str,
    /// To be raised when the fold gives other rows for the same log: then the view is rebuilt.
    pub revision: u32,
    /// Takes over rows of the present tables that the log has no longer, for a rebuild.
    pub keep: Option<&'static str>,
}

/// A view.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ViewName {
    /// Orders as they are now.
    Orders,
    /// Refused commands.
    Refusals,
    /// Orders as they were.
    Versions,
    /// What happened to orders.
    Timeline,
    /// The orders of each customer.
    CustomerOrders,
    /// The catalog with its stock.
    Products,
    /// Who may order.
    Customers,
    /// What was sold.
    Sales,
}

impl ViewName {
    /// Every view, in the order in which a batch is folded into them.
    pub const ALL: [Self; 8] = [
        Self::Orders,
        Self::Refusals,
        Self::Versions,
        Self::Timeline,
        Self::CustomerOrders,
        Self::Products,
        Self::Customers,
        Self::Sales,
    ];

    /// As operators call it.
    pub fn as_str(self) -> &'static str {
        self.definition().name
    }

    /// The schema in which it is rebuilt.
    pub fn shadow(self) -> String {
        format!("rebuild_{}", self.as_str().replace('-', "_"))
    }
}

impl Definition {
    /// Tells this definition from any other one. White space and line breaks do not count.
    pub fn digest(&self) -> String {
        let words: Vec<&str> = self.ddl.split_whitespace().collect();
        let text = format!("{} {}", self.revision, words.join(" "));
        Uuid::new_v5(&Uuid::NAMESPACE_OID, text.as_bytes()).simple().to_string()[..12].to_owned()
    }
}

impl fmt::Display for ViewName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ViewName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let named = |view: &Self| view.as_str() == text;
        Self::ALL.into_iter().find(named).ok_or_else(|| {
            let names = Self::ALL.map(Self::as_str).join(", ");
            format!("there is no view `{text}`: there are {names}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_two_views_share_a_name_or_a_table_and_each_has_its_digest() {
        let definitions = || ViewName::ALL.into_iter().map(ViewName::definition);
        let names: BTreeSet<_> = definitions().map(|view| view.name).collect();
        let digests: BTreeSet<_> = definitions().map(Definition::digest).collect();
        assert_eq!((names.len(), digests.len()), (ViewName::ALL.len(), ViewName::ALL.len()));
        let tables: Vec<_> = definitions().flat_map(|view| view.tables).collect();
        assert_eq!(tables.iter().collect::<BTreeSet<_>>().len(), tables.len());
        for definition in definitions() {
            for table in definition.tables {
                assert!(definition.ddl.contains(&format!("CREATE TABLE {table} (")), "{table}");
            }
        }
    }

    #[test]
    fn a_digest_heeds_what_counts() {
        let one = Definition {
            name: "one",
            topics: &[],
            tables: &["one"],
            ddl: "CREATE TABLE one (a int)",
            revision: 1,
            keep: None,
        };
        let with = |ddl, revision| Definition { ddl, revision, ..one };
        let same = with("CREATE TABLE one\n    (a int)", 1);
        assert_eq!(one.digest(), same.digest(), "its form does not count");
        assert_ne!(one.digest(), with(one.ddl, 2).digest());
        assert_ne!(one.digest(), with("CREATE TABLE one (a bigint)", 1).digest());
    }

    #[test]
    fn a_wrong_name_is_answered_with_the_right_ones() {
        assert_eq!("customer-orders".parse(), Ok(ViewName::CustomerOrders));
        let said = "customer_orders".parse::<ViewName>().unwrap_err();
        assert!(said.ends_with("customer-orders, products, customers, sales"), "{said}");
    }
}
